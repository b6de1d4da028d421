import { loadAdapter, loadBase, type Base } from './base.ts';
import { Decoder, type AdapterInputs } from './decoder.ts';
import { failureOf } from './failure.ts';
import { generate } from './generate.ts';
import { PreviewFailure, type Answer, type Request } from './protocol.ts';

/** The preview's worker: one base, one adapter at a time, one generation at a time. */
let base: Base | null = null;
let adapter: AdapterInputs | null = null;
let stopping = false;
let work: Promise<void> = Promise.resolve();

const say = (answer: Answer) => postMessage(answer);

addEventListener('message', ({ data }: MessageEvent<Request>) => {
  if (data.kind === 'stop') {
    stopping = true;
    return;
  }
  // Requests wait for each other; a generation that is running is asked to stop by the page, not cut off here.
  work = work.then(() => answer(data)).catch((error: unknown) => fail(data.id, error));
});

async function answer(request: Exclude<Request, { kind: 'stop' }>): Promise<void> {
  if (request.kind === 'load') await load(request);
  else if (request.kind === 'adapter') await take(request);
  else await write(request);
}

async function load({ id, model }: Request & { kind: 'load' }): Promise<void> {
  const started = performance.now();
  await base?.session.release();
  base = adapter = null;
  base = await loadBase(model, (bytes, bytes_max) => say({ kind: 'progress', id, bytes, bytes_max }));
  const seconds = (performance.now() - started) / 1000;
  say({ kind: 'loaded', id, fetched: { ...base.store.fetched }, threads: base.threads, seconds });
}

async function take({ id, adapter: name, files }: Request & { kind: 'adapter' }): Promise<void> {
  adapter = null;
  const { inputs, fetched } = await loadAdapter(loaded(), name, files);
  adapter = inputs;
  say({ kind: 'adapter_loaded', id, fetched });
}

async function write(request: Request & { kind: 'generate' }): Promise<void> {
  stopping = false;
  const { id } = request;
  const { ort, session, manifest, text } = loaded();
  const prompt = text.prompt(request.messages);
  const tokens_max = manifest.max_position_embeddings - 1;
  if (prompt.length > tokens_max)
    throw new PreviewFailure({ code: 'prompt_too_long', tokens: prompt.length, tokens_max });
  if (!prompt.length) throw new PreviewFailure({ code: 'said', detail: 'The prompt is empty.' });
  say({ kind: 'prompted', id, tokens: prompt.length });
  await generate({
    sides: request.sides.map((side) => ({
      side,
      decoder: new Decoder(ort, session, manifest, side === 'adapter' ? adapter : null)
    })),
    prompt,
    text,
    sampling: request.sampling,
    max_new_tokens: request.max_new_tokens,
    context_tokens: manifest.max_position_embeddings,
    stopped: async () => (await nextTurn(), stopping),
    onText: (side, text) => say({ kind: 'text', id, side, text }),
    onEnded: (side, ended) => say({ kind: 'ended', id, side, ended })
  });
  say({ kind: 'done', id });
}

function loaded(): Base {
  if (!base) throw new PreviewFailure({ code: 'said', detail: 'No base is loaded.' });
  return base;
}

/** Lets messages in: a loop that only awaits onnxruntime would never hear `stop`. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => (port1.close(), resolve());
    port2.postMessage(null);
  });
}

function fail(id: number, error: unknown): void {
  say({ kind: 'failed', id, failure: failureOf(error) });
}
