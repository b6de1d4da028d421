import { SafetensorsError } from '../tensors/safetensors.ts';
import { TextError } from '../text/index.ts';
import { AdapterError } from './adapter.ts';
import { PreviewFailure, type Failure } from './protocol.ts';

/** What browsers, Emscripten and onnxruntime say when memory runs out. */
const MEMORY =
  /bad_alloc|out of memory|\bOOM\b|allocation failed|could not allocate|failed to allocate|enlarge memory|invalid typed array length|memory access out of bounds/i;

/** onnxruntime fetches its own WebAssembly, and wraps what the browser says of that. */
const NETWORK = /failed to fetch|networkerror|load failed|failed to load 'http/i;

/** What was thrown in the worker, as the page is told of it. */
export function failureOf(error: unknown): Failure {
  if (error instanceof PreviewFailure) return error.failure;
  const detail = error instanceof Error ? error.message : String(error);
  if ([AdapterError, SafetensorsError, TextError].some((kind) => error instanceof kind))
    return { code: 'said', detail };
  if (MEMORY.test(detail)) return { code: 'memory' };
  if (NETWORK.test(detail)) return { code: 'unreachable' };
  return { code: 'unexpected', detail };
}
