import { inject, onTestFailed } from 'vitest';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { docker } from './docker.ts';
import { newProject, projectLabel } from './e2e-things.ts';
import { keepWords } from './kept-words.ts';

/** One unit in a container, alone and without a store, closed as tightly as a container can be. */
export class UnitContainer implements AsyncDisposable {
  readonly id: string;
  #words = '';

  private constructor(id: string) {
    this.id = id;
  }

  static async start(image: string, ...args: readonly string[]): Promise<UnitContainer> {
    const { owner } = inject('e2e');
    const closed = ['--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--network', 'none'];
    const label = `${projectLabel}=${newProject(owner)}`;
    const unit = new UnitContainer((await docker(['run', '-d', '--label', label, ...closed, ...args, image])).trim());
    onTestFailed(({ task }) => keepWords(`${task.name} ${image}`, unit.#words));
    return unit;
  }

  run(...command: readonly string[]): Promise<string> {
    return docker(['exec', this.id, ...command]);
  }

  async status() {
    return fleetStatusSchema.parse(JSON.parse(await this.run('troupe', 'status', '--json')));
  }

  async inspect(format: string): Promise<string> {
    return (await docker(['inspect', '-f', format, this.id])).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#words = await docker(['logs', '--timestamps', this.id], { both: true });
    await docker(['rm', '-f', '-v', this.id]);
  }
}
