/** What somebody may be. */
export const roles = ['viewer', 'operator', 'admin'] as const;
export type Role = (typeof roles)[number];

/** What can be allowed; a route, a topic and a form ask for one of them. */
export const capabilities = ['read', 'control', 'images', 'rebuild', 'remove', 'alerts', 'admin'] as const;
export type Capability = (typeof capabilities)[number];

const ofRole: Record<Role, readonly Capability[]> = {
  viewer: ['read'],
  operator: ['read', 'control', 'images'],
  admin: capabilities,
};

/** The capabilities that change something, which `READ_ONLY` switches off. */
export const changing: ReadonlySet<Capability> = new Set(['control', 'images', 'rebuild', 'remove', 'alerts']);

/** What a role may do. */
export const capabilitiesOf = (role: Role): ReadonlySet<Capability> => new Set(ofRole[role]);

/** Which containers somebody may see: those of these projects and names, or all of them. */
export type Scope = readonly string[] | null;

/** Who asks, and what they may do. */
export type Principal = {
  /** What is told of them: a user's name, `token <name>`, or the address where nobody signs in. */
  name: string;
  kind: 'user' | 'token' | 'anybody' | 'embed';
  /** The user's number; null for who is none. */
  userId: number | null;
  /** The token's number, where it is one. */
  tokenId?: number;
  capabilities: ReadonlySet<Capability>;
  scope: Scope;
};

/** Whoever asks where nobody signs in (`AUTH=none`): everything is allowed. */
export const anybody = (address: string): Principal => ({
  name: address,
  kind: 'anybody',
  userId: null,
  capabilities: new Set(capabilities),
  scope: null,
});
