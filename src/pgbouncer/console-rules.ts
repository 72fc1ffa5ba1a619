/**
 * For units whose coordinator does not share a file system with its instances, and so cannot use the console of their sockets: it
 * logs in over TCP, with rights on the console, at an address of the loopback that each instance has for itself.
 *
 * Found out with 1.18, 1.24 and 1.26: the rules also count for logins to the console; the first one that matches decides; to an
 * address of the loopback the kernel connects from 127.0.0.1. A login that has rights on the console from everywhere would be
 * guarded by its password alone, since `admin_users` knows no addresses: these rules do. The user `pgbouncer` at the socket is not
 * asked for anything either way. A file of rules that is missing at a RELOAD locks everybody out, so it is there before the first.
 */
export const consoleRules = (username: string, looking: string): string =>
  [
    // Who may look and nothing else: at the socket, since that alone leads to one instance and never to another.
    `local pgbouncer "${looking}" scram-sha-256`,
    // The console and nothing else, from this machine, which in a pod is the pod.
    `host pgbouncer "${username}" 127.0.0.1/32 scram-sha-256`,
    `host all "${username}" 0.0.0.0/0 reject`,
    `host all "${username}" ::/0 reject`,
    'host all all 0.0.0.0/0 scram-sha-256',
    'host all all ::/0 scram-sha-256',
    '',
  ].join('\n');
