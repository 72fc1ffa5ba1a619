/** Settings that no operator can have, because Troupe gives them their value or nothing in it could work with another. */
export const reserved: readonly (readonly [why: string, keys: readonly string[]])[] = [
  [
    'each instance is given its place by its unit (TROUPE_LISTEN_ADDRESS, TROUPE_RUN_DIR)',
    ['listen_addr', 'unix_socket_dir', 'unix_socket_mode', 'unix_socket_group', 'so_reuseport', 'peer_id'],
  ],
  ['nothing is ever suspended; it is gone in 1.26', ['suspend_timeout']],
  ['instances leave and come without losing connections only with the value that it has', ['tcp_defer_accept']],
  [
    'logins follow from the client relations: integrate a client instead (troupe integrate client)',
    [
      'admin_users',
      'stats_users',
      'auth_type',
      'auth_file',
      'auth_hba_file',
      'auth_ident_file',
      'auth_ldap_options',
      'auth_user',
      'auth_query',
      'auth_dbname',
      'scram_iterations',
    ],
  ],
  [
    'it counts for each process by itself, and the fleet would multiply it; the limit of the fleet is max_db_connections',
    [
      'min_pool_size',
      'reserve_pool_size',
      'reserve_pool_timeout',
      'max_user_connections',
      'max_user_client_connections',
      'max_db_client_connections',
    ],
  ],
  [
    'each unit starts its processes, keeps their logs and tells them apart by it',
    ['user', 'conffile', 'job_name', 'service_name', 'pidfile', 'logfile', 'syslog', 'syslog_ident', 'syslog_facility'],
  ],
  ['a more talkative log tells secrets', ['verbose']],
  ['the console speaks the simple protocol only, and Troupe speaks to the console', ['disable_pqexec']],
  ['it names a file, and units may have it elsewhere or not at all', ['resolv_conf']],
  ['there are no databases but those of the client relations', ['autodb_idle_timeout']],
  [
    'TLS has no options yet but server_tls_sslmode; the certificate for clients is given to each unit (TROUPE_TLS_CERTIFICATE_FILE)',
    ['client_tls_', 'server_tls_'].flatMap((side) =>
      ['sslmode', 'ca_file', 'key_file', 'cert_file', 'protocols', 'ciphers', 'dheparams', 'ecdhcurve']
        .map((key) => `${side}${key}`)
        .concat(`${side.slice(0, -1)}13_ciphers`)
        .filter((key) => key !== 'server_tls_sslmode'),
    ),
  ],
  [
    'only the charm can expose an application of Kubernetes',
    ['expose-external', 'expose_external', 'loadbalancer-extra-annotations', 'loadbalancer_extra_annotations'],
  ],
];

const whys: ReadonlyMap<string, string> = new Map(reserved.flatMap(([why, keys]) => keys.map((key) => [key, why])));

/** Why this setting of PgBouncer, or option of the charm, is none of ours; undefined when it is not reserved. */
export const whyReserved = (key: string): string | undefined => whys.get(key);
