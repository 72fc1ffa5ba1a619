import { Secret } from '../../src/actors/model/secret.ts';
import type { Credentials } from '../../src/actors/ports/credentials.ts';

/** Passwords that are told apart by a number, and nothing else. */
export const countedCredentials = (): Credentials => {
  let minted = 0;
  return {
    mint: async (username) => {
      minted += 1;
      return { username, password: new Secret(`password-${minted}`), verifier: new Secret(`verifier-${minted}`) };
    },
    keep: async (username, password) => ({ username, password, verifier: new Secret(`of ${password.reveal()}`) }),
  };
};
