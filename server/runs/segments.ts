import { open, rename, rm } from 'node:fs/promises';
import { encodeSafetensorsHeader, type TensorOut } from '../../src/lib/tensors/safetensors.ts';
import { Growing } from './growing.ts';

/** The tensors of a groups.v1 file (trainer contract, Groups file) while they grow. */
export class Segments {
  readonly #tokens = new Growing(Int32Array);
  readonly #mask = new Growing(Uint8Array);
  readonly #ends = new Growing(BigInt64Array);
  readonly #groups = new Growing(BigInt64Array);
  readonly #pairs = new Growing(Int32Array);
  #masked = false;

  constructor() {
    this.#ends.push(0n);
    this.#groups.push(0n);
  }

  /** A prompt, or a completion of the group that is open; answers its number. */
  add(ids: readonly number[], mask: Uint8Array | null): number {
    this.#tokens.append(ids);
    this.#mask.append(mask ?? new Uint8Array(ids.length).fill(1));
    this.#masked ||= mask !== null;
    this.#ends.push(BigInt(this.#tokens.length));
    return this.#ends.length - 2;
  }

  pair(chosen: number, rejected: number): void {
    this.#pairs.push(chosen, rejected);
  }

  endGroup(): void {
    this.#groups.push(BigInt(this.#ends.length - 1));
  }

  /** The file appears whole or not at all. */
  async write(path: string): Promise<void> {
    const part = `${path}.part`;
    const tensors = this.#tensors();
    const out = await open(part, 'w', 0o600);
    try {
      await out.writeFile(encodeSafetensorsHeader(tensors, { format: 'groups.v1' }));
      for (const { values } of tensors) await out.writeFile(values.bytes());
      await out.sync();
    } catch (error) {
      await rm(part, { force: true });
      throw error;
    } finally {
      await out.close();
    }
    await rename(part, path);
  }

  #tensors(): TensorFilled[] {
    const line = (name: string, dtype: TensorOut['dtype'], values: TensorFilled['values']) => ({
      ...{ name, dtype, values },
      shape: [values.length]
    });
    const tensors: TensorFilled[] = [
      line('tokens', 'I32', this.#tokens),
      line('segments', 'I64', this.#ends),
      line('group_segments', 'I64', this.#groups)
    ];
    if (this.#masked) tensors.push(line('token_mask', 'U8', this.#mask));
    const pairs = this.#pairs.length / 2;
    if (pairs) tensors.push({ ...line('pairs', 'I32', this.#pairs), shape: [pairs, 2] });
    return tensors;
  }
}

type TensorFilled = TensorOut & { values: { length: number; bytes(): Uint8Array } };
