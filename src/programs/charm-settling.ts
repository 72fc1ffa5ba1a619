/** Whether a whole dispatch had anything to do, and the note of it for those after. */
import type { Effect } from '../actors/kit/behaviour.ts';
import type { Trace } from '../actors/kit/trace.ts';
import { type Answers, digestOf, hearing, withoutTools } from '../infra/juju/tool-answers.ts';
import type { RunTool } from '../infra/juju/tool-process.ts';
import type { SettledNote } from '../infra/pebble/settled-note.ts';
import type { Before } from './charm-front.ts';
import { longestMs, type ServerAddress, type Settled } from './charm-settled.ts';
import { signed } from './charm-signed.ts';

export interface Settling {
  /** The hook tools, without asking twice. */
  readonly run: RunTool;
  /** Hears what the actors do. */
  readonly trace: Trace;
  /** From here on things may change: what was noted before does not stand any more. */
  begin(): void;
  /** Something is not as it should be, or will not stay as it is. */
  unsettle(): void;
  /** Nothing is left to do as things are, until then (wall-clock ms), and as long as these servers answer. */
  settle(until: number, servers: readonly ServerAddress[]): void;
  /** The last of a dispatch that ended well: keeps the note, if nothing was done. */
  end(): Promise<void>;
}

/** `before`: null for a dispatch that is about something. */
export const createSettling = (run: RunTool, note: SettledNote, before: Before | null): Settling => {
  const tools = hearing(run, before?.answers ?? nothing);
  let removed: Promise<void> = Promise.resolve();
  let isQuiet = true;
  let settled: Pick<Settled, 'until' | 'servers'> | null = null;
  const unsettle = (): void => {
    isQuiet = false;
  };
  return {
    run: tools.run,
    trace: {
      decided: (_actor, _message, { effects = [] }) => {
        if (!effects.every(onlyLooks)) unsettle();
      },
      threw: unsettle,
      entries: () => [],
    },
    begin: () => {
      removed = note.remove();
    },
    unsettle,
    settle: (until, servers) => {
      settled = { until, servers };
    },
    end: async () => {
      await removed;
      const heard = tools.heard();
      if (!isQuiet || settled === null || heard === null || before === null || before.container === null) return;
      const { at, facts, container } = before;
      // Relations and their units come and go with hooks of their own: that all are asked for now and then is no part of a look.
      const { questions, answers } = withoutTools(heard, ['relation-ids', 'relation-list']);
      const { servers } = settled;
      const until = Math.min(at + longestMs, settled.until);
      const kept: Settled = { at, until, facts, container, questions, answers: digestOf(answers), servers };
      const text = signed(JSON.stringify(kept), answers);
      if (text !== null) await note.write(text);
    },
  };
};

const nothing: Answers = new Map();

/** What comes of a step that is taken each time, because nobody is there to remember it, and changes nothing the second time. */
const repeated: ReadonlySet<string> = new Set(['raiseFence', 'verify']);
/** What they write into bags and charm state is told by the tools. */
const looks: ReadonlySet<string> = new Set(['acquire', 'audit', 'inspect', 'observe', 'remember', 'renew', 'writeBag']);

const onlyLooks = (effect: Effect & { readonly step?: { readonly type: string } }): boolean =>
  looks.has(effect.type) || (effect.step !== undefined && repeated.has(effect.step.type));
