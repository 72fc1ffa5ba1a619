/** The system said no: disk full, no right, no such name. Anything else is a fault of ours. */
export const isSystemError = (cause: unknown): cause is Error => cause instanceof Error && 'syscall' in cause;

export const codeOf = (cause: unknown): unknown => (cause instanceof Error && 'code' in cause ? cause.code : undefined);
