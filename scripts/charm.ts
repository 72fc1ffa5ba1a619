/** `npm run charm [-- --arch amd64|arm64]`: makes what Juju deploys, `dist/*.charm`; beside it, unpacked, what charmcraft packs too. */
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { architectures, archive, charmFile, charmInto, ownArchitecture } from './charm-archive.ts';

const { values } = parseArgs({ options: { arch: { type: 'string', default: ownArchitecture() ?? '' } } });
const architecture = architectures.find((one) => one === values.arch);
if (architecture === undefined) {
  console.error(`there is no charm for "${values.arch}": say --arch ${architectures.join(' or --arch ')}`);
  process.exit(2);
}
const directory = join('dist', `charm-${architecture}`);
mkdirSync('dist', { recursive: true });
await charmInto(directory, architecture);
const file = join('dist', charmFile(architecture));
await archive(directory, file);
console.log(`${file}  ${(statSync(file).size / 2 ** 20).toFixed(1)} MB`);
