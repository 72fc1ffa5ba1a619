import type { ErrorBody } from '../../api/errors.ts';

/** The API said no, in its own words. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly error: ErrorBody['error'];
  constructor(error: ErrorBody['error']) {
    super(error.message);
    this.error = error;
  }
}
