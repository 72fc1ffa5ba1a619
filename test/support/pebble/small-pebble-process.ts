/** The small Pebble as the first process of a container. Arguments: the directory for its socket. */
import { startSmallPebble } from './small-pebble.ts';

const [, , directory = ''] = process.argv;
const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
);
await startSmallPebble({ directory, environment }, console.log);
