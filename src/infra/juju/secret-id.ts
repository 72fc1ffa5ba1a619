/** Juju writes one id in three ways: `<xid>`, `secret:<xid>` and `secret://<model>/<xid>`. What tells secrets apart is the xid. */
export const xidOf = (id: string): string => /[^/:]*$/.exec(id)?.[0] ?? id;

export const isSameSecret = (a: string, b: string): boolean => xidOf(a) === xidOf(b);

/** The form that goes into bags; one that names its model keeps it, since other models need it. */
export const secretUri = (id: string): string => (id.startsWith('secret:') ? id : `secret:${id}`);

/** What others name as a secret goes to hook tools as an argument: nothing that could be anything else. */
export const isSecretId = (text: string): boolean =>
  /^(?:secret:(?:\/\/[A-Za-z0-9-]+\/)?)?[A-Za-z0-9][A-Za-z0-9-]*$/.test(text);
