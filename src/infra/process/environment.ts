/** What PgBouncers get: nothing of ours, no secrets, no sockets of a service manager that they would take for their own. */
export const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };
