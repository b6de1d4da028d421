import type { InferenceSession } from 'onnxruntime-common';
import { createText, type Text } from '../text/index.ts';
import type { PreviewManifest } from '../wire/preview.ts';
import { readAdapter } from './adapter.ts';
import type { AdapterInputs, Runtime } from './decoder.ts';
import type { AdapterFile } from '../wire/adapter.ts';
import type { Fetched } from './protocol.ts';
import { FileStore, reach } from './store.ts';

export interface Base {
  manifest: PreviewManifest;
  ort: Runtime;
  session: InferenceSession;
  text: Text;
  threads: number;
  store: FileStore;
}

const fileUrl = (folder: string, { name, sha256 }: AdapterFile) =>
  `/api/v1/${folder}/${name}?sha256=${sha256}`;

/** Loads a base: manifest, files (kept ones from this device), session, tokenizer. */
export async function loadBase(
  model: string,
  onProgress: (bytes: number, bytes_max: number) => void
): Promise<Base> {
  const folder = `models/${encodeURIComponent(model)}/preview`;
  const manifest = (await (await reach(`/api/v1/${folder}`)).json()) as PreviewManifest;
  const store = await FileStore.open(manifest.sha256);
  let arrived = 0;
  const read = (file: AdapterFile) =>
    store.read({ url: fileUrl(folder, file), bytes: file.bytes }, (count) => {
      arrived += count;
      onProgress(arrived, manifest.bytes);
    });
  onProgress(0, manifest.bytes);
  const files = new Map<string, Uint8Array>();
  for (const file of manifest.files) files.set(file.name, await read(file));
  const text = readText(files);
  const { ort, session, threads } = await startSession(files);
  return { manifest, ort, session, text, threads, store };
}

function readText(files: Map<string, Uint8Array>): Text {
  const string = (name: string) => {
    const bytes = files.get(name);
    return bytes && new TextDecoder().decode(bytes);
  };
  const json = (name: string): unknown => JSON.parse(string(name) ?? 'null') ?? undefined;
  return createText({
    tokenizer: json('tokenizer.json'),
    tokenizerConfig: json('tokenizer_config.json'),
    chatTemplate: string('chat_template.jinja'),
    generationConfig: json('generation_config.json'),
    modelConfig: json('config.json')
  });
}

/** onnxruntime comes with this site's own files; its threads need cross-origin isolation. */
async function startSession(files: Map<string, Uint8Array>) {
  const ort = await import('onnxruntime-web/wasm');
  const threads = globalThis.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency || 1) : 1;
  ort.env.wasm.numThreads = threads;
  const externalData = [...files]
    .filter(([name]) => name.startsWith('weights-'))
    .map(([path, data]) => ({ path, data }));
  const session = await ort.InferenceSession.create(files.get('model.onnx')!, {
    executionProviders: ['wasm'],
    externalData
  });
  return { ort, session, threads };
}

/** An adapter's PEFT files as inputs of the graph; only these are fetched. */
export async function loadAdapter(
  { store, manifest }: Base,
  adapter: string,
  files: AdapterFile[]
): Promise<{ inputs: AdapterInputs; fetched: Fetched }> {
  const before = { ...store.fetched };
  const read = (name: string) => {
    const file = files.find((each) => each.name === name);
    if (!file) throw new TypeError(`The adapter has no ${name}.`);
    return store.read({
      url: fileUrl(`adapters/${encodeURIComponent(adapter)}/files`, file),
      bytes: file.bytes
    });
  };
  const config = JSON.parse(new TextDecoder().decode(await read('adapter_config.json'))) as unknown;
  const inputs = readAdapter(config, await read('adapter_model.safetensors'), manifest.linears);
  const fetched = {
    downloaded_bytes: store.fetched.downloaded_bytes - before.downloaded_bytes,
    cached_bytes: store.fetched.cached_bytes - before.cached_bytes
  };
  return { inputs, fetched };
}
