/** What hook tools answered in one dispatch: so that none is asked twice, and a later dispatch can ask the same and compare. */
import { hash } from 'node:crypto';
import type { RunTool } from './tool-process.ts';

/** A call that only reads. Its arguments are no secrets. */
export interface Question {
  readonly tool: string;
  readonly args: readonly string[];
}

/** What was answered, by question. Some of it is secret: it is kept in memory, and never anywhere else. */
export type Answers = ReadonlyMap<string, string>;

export interface Heard {
  readonly questions: readonly Question[];
  readonly answers: Answers;
}

/** Asks all side by side; what was refused is missing in the answers. */
export const answersTo = async (questions: readonly Question[], run: RunTool): Promise<Answers> => {
  const asked = questions.map(async (question) => [[keyOf(question), await run(question)] as const]);
  return new Map((await Promise.all(asked.map((one) => one.catch(() => [])))).flat());
};

export const answerIn = (answers: Answers, question: Question): string | null => answers.get(keyOf(question)) ?? null;

/** Of all answers, in whatever order they came. */
export const digestOf = (answers: Answers): string =>
  hash('sha256', JSON.stringify([...answers].toSorted(([a], [b]) => (a < b ? -1 : 1))));

export interface Hearing {
  readonly run: RunTool;
  /** All that was asked so far; null when anything was told to Juju or refused by it, or it did not answer the same twice. */
  heard(): Heard | null;
}

/** The same tools, and what they answer is kept. `ahead`: answers that are there already; each is taken once, in place of a call. */
export const hearing = (run: RunTool, ahead: Answers): Hearing => {
  const waiting = new Map(ahead);
  const questions = new Map<string, Question>();
  const answers = new Map<string, string>();
  let isPlain = true;
  return {
    run: async (call) => {
      const { tool, args } = call;
      const key = keyOf(call);
      isPlain &&= reading.has(tool) && call.input === undefined;
      try {
        const answer = waiting.get(key) ?? (await run(call));
        waiting.delete(key);
        isPlain &&= (answers.get(key) ?? answer) === answer;
        questions.set(key, { tool, args });
        answers.set(key, answer);
        return answer;
      } catch (cause) {
        isPlain = false;
        throw cause;
      }
    },
    heard: () => (isPlain ? { questions: [...questions.values()], answers } : null),
  };
};

/** Only what none of these tools was asked. */
export const withoutTools = ({ questions, answers }: Heard, tools: readonly string[]): Heard => {
  const kept = questions.filter(({ tool }) => !tools.includes(tool));
  const keys = new Set(kept.map(keyOf));
  return { questions: kept, answers: new Map([...answers].filter(([key]) => keys.has(key))) };
};

const keyOf = ({ tool, args }: Question): string => JSON.stringify([tool, ...args]);

const reading: ReadonlySet<string> = new Set([
  'config-get',
  'is-leader',
  'relation-get',
  'relation-ids',
  'relation-list',
  'relation-model-get',
  'secret-get',
  'secret-ids',
  'secret-info-get',
  'state-get',
]);
