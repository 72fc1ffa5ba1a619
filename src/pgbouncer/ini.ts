import { decodeIni } from './dialect.ts';

/** The port of a rendered file; null when the file is not one. */
export const listenPortOf = (ini: string): number | null => {
  const port = /^listen_port = (\d{1,5})$/m.exec(ini)?.[1];
  return port === undefined ? null : Number(port);
};

/** The main section of a rendered file; empty when it cannot be read. */
export const settingsIn = (ini: string): ReadonlyMap<string, string> => sectionIn(ini, 'pgbouncer');

export const sectionIn = (ini: string, section: string): ReadonlyMap<string, string> => {
  try {
    return decodeIni(ini).get(section) ?? new Map();
  } catch {
    return new Map(); // Somebody else's file, or half of one: it has nothing that we rendered.
  }
};
