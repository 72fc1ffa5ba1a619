/** Makes `dist`: what ships in the npm package and in the image. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { bundleInto } from './bundle.ts';

const directory = 'dist';
for (const { file, packages } of await bundleInto(directory)) {
  const size = `${Math.ceil(statSync(join(directory, file)).size / 1024)} kB`;
  console.log(`${directory}/${file}`.padEnd(20), size.padStart(8), `${packages.length} packages`);
}
