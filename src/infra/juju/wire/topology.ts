/** Who something is of, in the words that all who watch over applications of Juju have for it. */
export interface Topology {
  readonly model: string;
  /** Its UUID. */
  readonly modelUuid: string;
  readonly application: string;
  readonly unit: string;
}

/** As metadata.yaml has it. */
export const charmName = 'pgbouncer-k8s';

/** Of the application, without its unit: what is told of all units has none. */
export const applicationLabels = ({ model, modelUuid, application }: Topology): Readonly<Record<string, string>> => ({
  juju_model: model,
  juju_model_uuid: modelUuid,
  juju_application: application,
  juju_charm: charmName,
});

/** Short, and still nobody else's. */
export const identifierOf = ({ model, modelUuid, application }: Topology): string =>
  `${model}_${modelUuid.slice(0, 8)}_${application}`;
