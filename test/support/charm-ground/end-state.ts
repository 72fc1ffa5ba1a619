/** What the hooks of a packed charm came to: bags, charm state, secrets, files in the containers, and roles and databases in PostgreSQL. */
import { asSuperuser } from '../../../src/infra/local/postgres.ts';
import { alike, storedIn } from '../charm-end-state.ts';
import type { RunningPostgres } from '../servers.ts';
import type { CharmGround } from './charm-ground.ts';

/** Without what may differ between two runs that are alike. */
export const endStateOnGround = async (ground: CharmGround, server: RunningPostgres): Promise<unknown> => {
  const files = await Promise.all(
    ground.units.toSorted().map(async (unit) => {
      const pod = ground.pod(unit);
      const found = [...(await pod.files())]
        .filter(([path]) => !notes.has(path))
        .map(([path, content]) => [path, path === ownLogins ? usernamesIn(content) : content] as const)
        .toSorted(([a], [b]) => a.localeCompare(b));
      return { unit, runs: (await pod.pgbouncers()).length, files: Object.fromEntries(found) };
    }),
  );
  const secrets = [...ground.juju.secrets.values()].flatMap(({ revisions }) =>
    [...revisions.values()].flatMap(({ password = '' }) => (password === '' ? [] : [password])),
  );
  const state = { ...storedIn(ground.juju), files, ...(await madeIn(server)) };
  const [found, unique] = [JSON.stringify(state), [...new Set([...secrets, ...legacyPasswords(ground)])]];
  const hidden = unique.reduce((text, password) => text.replaceAll(password, '(password)'), found);
  const text = [...ground.pods].reduce((said, [unit, { address }]) => said.replaceAll(address, `(${unit})`), hidden);
  const plain: object = JSON.parse(
    text
      .replaceAll(/SCRAM-SHA-256\$[\w$:+/=]+/g, '(verifier)')
      .replaceAll(/"systemId":"\d+"/g, '"systemId":"(cluster)"'),
  );
  return alike(plain, ground.juju);
};

/** What need not be asked twice of a program or of processes, by the time of its file and by their ids. */
const notes: ReadonlySet<string> = new Set(['/program.json', '/settled.json', '/verified.json']);
/** Logins that the unit made for itself, under passwords that nobody else knows. */
const ownLogins = '/logins.json';
const usernamesIn = (content: string): string =>
  [...content.matchAll(/username\W+(\w+)/g)].map(([, username]) => username).join();

const legacyPasswords = ({ juju }: CharmGround): readonly string[] =>
  [...juju.relations.values()].flatMap(({ bags }) => [...bags.values()].flatMap(({ password = [] }) => password));

/** Roles with what they are members of, and databases with their owners. */
const madeIn = (server: RunningPostgres): Promise<{ readonly roles: unknown; readonly databases: unknown }> =>
  asSuperuser(server, async (client) => {
    const roles = await client.query(
      `select rolname, rolcanlogin, rolcreatedb, rolcreaterole, shobj_description(r.oid, 'pg_authid') as comment,
              array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                    where m.member = r.oid order by 1) as within
       from pg_roles r where rolname !~ '^pg_' order by rolname`,
    );
    const databases = await client.query(
      `select datname, pg_get_userbyid(datdba) as owner, shobj_description(oid, 'pg_database') as comment
       from pg_database order by datname`,
    );
    return { roles: roles.rows, databases: databases.rows };
  });
