/** An answer whose text is made as the caller reads it; ends the source when the caller goes away. */
export function streamLines(
  contentType: string,
  lines: AsyncGenerator<string>,
  headers?: HeadersInit
): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await lines.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value));
    },
    cancel: () => void lines.return(undefined)
  });
  return new Response(body, { headers: { 'content-type': `${contentType}; charset=utf-8`, ...headers } });
}
