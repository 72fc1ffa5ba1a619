/** Where a unit is probed. By themselves, because who only probes needs no schema of anything. */
export const probePaths = {
  health: '/health',
  liveness: '/liveness',
  readiness: '/readiness',
  leader: '/leader',
} as const;
