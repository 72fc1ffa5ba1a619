/**
 * Notes that a dispatch leaves in the container of the workload are signed with the key of the fleet, which is not there: what they
 * say is asked of hook tools, and whoever has got into that container must not be the one who says it.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { keyField, keyQuestion } from '../infra/juju/fleet-key.ts';
import { type Answers, answerIn } from '../infra/juju/tool-answers.ts';

/** Null where these answers do not hold the key. */
export const signed = (text: string, answers: Answers): string | null => {
  const key = keyIn(answers);
  return key === null ? null : `${signatureOf(text, key).toString('base64')}\n${text}`;
};

/** What was signed; null for what was not, and not with this key. */
export const textSigned = (note: string, answers: Answers): string | null => {
  const key = keyIn(answers);
  const end = note.indexOf('\n');
  if (key === null || end < 0) return null;
  const text = note.slice(end + 1);
  const [found, wanted] = [Buffer.from(note.slice(0, end), 'base64'), signatureOf(text, key)];
  return found.length === wanted.length && timingSafeEqual(found, wanted) ? text : null;
};

const keyIn = (answers: Answers): string | null => {
  const answer = answerIn(answers, keyQuestion);
  if (answer === null) return null;
  try {
    const key: unknown = JSON.parse(answer)?.[keyField];
    return typeof key === 'string' && key !== '' ? key : null;
  } catch {
    return null;
  }
};

/** Not what that key is for otherwise: so the purpose is signed too. */
const signatureOf = (text: string, key: string): Buffer =>
  createHmac('sha256', key).update(`note of a dispatch\0${text}`).digest();
