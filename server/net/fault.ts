/** An answer that is an error, thrown by any room; becomes `application/problem+json` with this stable code. */
export class Fault extends Error {
  readonly status: number;
  readonly code: string;

  /** `detail` is shown to the caller: it names what is wrong and what to do, never a path, SQL or a secret. */
  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export const notFound = (what: string) =>
  new Fault(404, 'not_found', `There is no such ${what}, or you are not a member of its project.`);
