import { randomFrom } from '../domain/random.ts';
import type { Text } from '../text/index.ts';
import type { Decoder } from './decoder.ts';
import type { Ended, Ending, Side } from './protocol.ts';
import { pick, type Sampling } from './sampler.ts';

/** A prompt is read in pieces: attention over a long one at once would need memory by its square. */
const PROMPT_PIECE_TOKENS = 256;

export interface Generation {
  /** A decoder of its own for each side; both answer the same prompt. */
  sides: { side: Side; decoder: Decoder }[];
  prompt: number[];
  text: Text;
  sampling: Sampling;
  max_new_tokens: number;
  /** Tokens that the base can hold. */
  context_tokens: number;
  /** True once somebody asked to stop; looked at before each token. */
  stopped: () => Promise<boolean>;
  onText(side: Side, text: string): void;
  onEnded(side: Side, ended: Ended): void;
}

/** Sides take turns token by token, so that both texts grow together. */
export async function generate(generation: Generation): Promise<void> {
  let writing = generation.sides.map(({ side, decoder }) => new Writer(generation, side, decoder));
  while (writing.length) {
    for (const writer of writing) {
      const reason = (await generation.stopped()) ? 'stopped' : await writer.step();
      if (reason) writer.end(reason);
    }
    writing = writing.filter(({ ended }) => !ended);
  }
}

class Writer {
  ended = false;
  private next: number[];
  private tokens = 0;
  private milliseconds = 0;
  private readonly random: () => number;
  private readonly stream;
  private readonly all: Generation;
  private readonly side: Side;
  private readonly decoder: Decoder;

  constructor(all: Generation, side: Side, decoder: Decoder) {
    this.all = all;
    this.side = side;
    this.decoder = decoder;
    this.next = all.prompt;
    this.random = randomFrom(all.sampling.seed);
    this.stream = all.text.stream();
  }

  /** Reads what is new and writes one token, or a piece of the prompt; answers with the reason where it ends here. */
  async step(): Promise<Ending | null> {
    const started = performance.now();
    const piece = this.next.slice(0, PROMPT_PIECE_TOKENS);
    const logits = await this.decoder.read(piece);
    this.next = this.next.slice(piece.length);
    if (this.next.length) return null;
    const id = pick(logits, this.all.sampling, this.random());
    // The first token's time is the prompt's.
    if (this.tokens++) this.milliseconds += performance.now() - started;
    if (this.all.text.eosTokenIds.includes(id)) return 'eos';
    this.say(this.stream.push(id));
    if (this.tokens >= this.all.max_new_tokens) return 'length';
    if (this.decoder.length >= this.all.context_tokens) return 'context';
    this.next = [id];
    return null;
  }

  end(reason: Ending): void {
    this.say(this.stream.end());
    this.ended = true;
    const seconds = this.milliseconds / 1000;
    const tokens_per_second = seconds > 0 ? (this.tokens - 1) / seconds : 0;
    this.all.onEnded(this.side, { reason, tokens: this.tokens, tokens_per_second });
  }

  private say(text: string): void {
    if (text) this.all.onText(this.side, text);
  }
}
