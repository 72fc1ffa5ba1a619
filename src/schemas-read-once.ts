/** To be imported before any schema is made: compiling one pays off after many uses, and a dispatch has few. */
import { config } from 'zod';

config({ jitless: true });
