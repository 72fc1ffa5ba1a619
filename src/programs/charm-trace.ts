/** What a dispatch did and how long it took, for who is related to be told of that: the hook, and in it each hook tool. */
import { type Span, sendTrace } from '../infra/otlp/trace.ts';
import type { Dispatched } from '../infra/juju/environment.ts';
import type { Log } from '../infra/files/log.ts';
import type { RunTool } from '../infra/juju/tool-process.ts';
import { applicationLabels, charmName } from '../infra/juju/wire/topology.ts';
import { version } from '../version.ts';

export interface DispatchTrace {
  /** The same tools, and what they took is noted. Of their arguments nothing is. */
  noting(run: RunTool): RunTool;
  /** Where it will be sent; nowhere before that is known. */
  goTo(location: string | null): void;
  /** Sends it. Never rejects: it is not worth a failed hook. */
  end(code: number): Promise<void>;
}

/** Juju waits for it. */
const longestMs = 1_000;

/** `hook`: as Juju names it in JUJU_DISPATCH_PATH. */
export const createDispatchTrace = (dispatched: Dispatched, hook: string, log: Log): DispatchTrace => {
  let location: string | null = null;
  const tools: Span[] = [];
  const now = (): number => performance.timeOrigin + performance.now();
  const { unit, application, model } = dispatched;
  return {
    noting: (run) => async (call) => {
      const from = now();
      const noted = (failure: string | null) => tools.push({ name: call.tool, from, until: now(), failure });
      try {
        const said = await run(call);
        noted(null);
        return said;
      } catch (cause) {
        noted('refused');
        throw cause;
      }
    },
    goTo: (known) => {
      location = known;
    },
    end: async (code) => {
      if (location === null) return;
      const topology = { model: model.name, modelUuid: model.uuid, application, unit };
      const trace = {
        resource: {
          'service.namespace': model.uuid,
          'service.namespace.name': model.name,
          'service.name': application,
          'service.instance.id': unit.slice(unit.lastIndexOf('/') + 1),
          charm: charmName,
          ...applicationLabels(topology),
          juju_unit: unit,
        },
        scope: { name: 'troupe', version },
        whole: {
          name: hook.slice(hook.lastIndexOf('/') + 1),
          from: performance.timeOrigin,
          until: now(),
          failure: code === 0 ? null : `exit code ${code}`,
        },
        attributes: { 'juju.dispatch_path': hook },
        parts: tools,
      };
      await sendTrace(location, trace, longestMs).catch((cause: unknown) =>
        log.warn({ location, reason: cause instanceof Error ? cause.message : String(cause) }, 'cannot send the trace'),
      );
    },
  };
};
