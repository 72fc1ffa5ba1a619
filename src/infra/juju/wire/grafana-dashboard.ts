/** The provider's side of the interface `grafana_dashboard`: our application bag holds dashboards, packed. */
import type { Bag } from '../tools.ts';
import { dashboard } from './dashboard.ts';
import { charmName } from './topology.ts';
import { storedXz } from './xz.ts';

export const dashboardBag = (): Bag => ({
  dashboards: JSON.stringify({
    templates: {
      'file:pgbouncer': {
        charm: charmName,
        content: storedXz(Buffer.from(JSON.stringify(dashboard()))).toString('base64'),
        // Its queries ask for what is chosen there by themselves: nothing needs to be put into them.
        inject_dropdowns: true,
        juju_topology: {},
      },
    },
  }),
});
