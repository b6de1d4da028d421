/** Who is calling. A token that is bound to a project works in that project only. */
export interface Actor {
  id: string;
  name: string;
  email: string;
  /** May make projects and register models: the first account, the bootstrap token's, and those it names. */
  instanceOwner: boolean;
  via:
    | { kind: 'session'; id: string }
    | { kind: 'token'; id: string; projectId: string | null; issuedBy: string | null };
}
