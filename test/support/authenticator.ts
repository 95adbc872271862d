import { createHash, createSign, generateKeyPairSync, randomBytes } from 'node:crypto';

/** An authenticator in software: as much of WebAuthn as a passkey needs, without attestation. */
export type Authenticator = ReturnType<typeof createAuthenticator>;

const sha256 = (data: string | Buffer) => createHash('sha256').update(data).digest();
const base64url = (data: Buffer) => data.toString('base64url');

/** What is told of a signature: somebody is there, and was recognised. */
const present = 0b101;
const withCredential = 0b1000000;

/** Creates an authenticator with one key (P-256), as a browser at an origin uses it. */
export function createAuthenticator(origin: string, { isRecognised = true } = {}) {
  const { hostname } = new URL(origin);
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const jwk = publicKey.export({ format: 'jwk' });
  const id = randomBytes(32);
  const flags = isRecognised ? present : 0b001;
  let counter = 0;

  const dataOf = (flags: number, rest = Buffer.alloc(0)) => {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(counter);
    return Buffer.concat([sha256(hostname), Buffer.from([flags]), count, rest]);
  };
  const clientData = (type: string, challenge: string) =>
    Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false }));

  return {
    id: base64url(id),

    /** Makes a passkey, as `navigator.credentials.create` gives it. */
    create({ challenge }: { challenge: string }): string {
      // COSE: EC2, ES256, P-256 (RFC 9053).
      const key = cborMap([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, Buffer.from(jwk.x ?? '', 'base64url')],
        [-3, Buffer.from(jwk.y ?? '', 'base64url')],
      ]);
      const length = Buffer.from([0, id.length]);
      const authData = dataOf(flags | withCredential, Buffer.concat([Buffer.alloc(16), length, id, key]));
      const attestation = cborMap([
        ['fmt', 'none'],
        ['attStmt', cborMap([])],
        ['authData', authData],
      ]);
      const response = {
        clientDataJSON: base64url(clientData('webauthn.create', challenge)),
        attestationObject: base64url(attestation),
        transports: ['internal'],
      };
      return toJson(response);
    },

    /** Signs in, as `navigator.credentials.get` gives it. */
    get({ challenge }: { challenge: string }): string {
      counter += 1;
      const client = clientData('webauthn.get', challenge);
      const authenticatorData = dataOf(flags);
      const signature = createSign('sha256')
        .update(Buffer.concat([authenticatorData, sha256(client)]))
        .sign(privateKey);
      const response = {
        clientDataJSON: base64url(client),
        authenticatorData: base64url(authenticatorData),
        signature: base64url(signature),
      };
      return toJson(response);
    },

    /** Counts from the start again, as a copy of it would. */
    reset: () => {
      counter = 0;
    },
  };

  function toJson(response: object): string {
    const rawId = base64url(id);
    return JSON.stringify({ id: rawId, rawId, type: 'public-key', response, clientExtensionResults: {} });
  }
}

type Cbor = number | string | Buffer;

/** A map in CBOR (RFC 8949); maps within it are given as bytes that are marked by the caller's own encoding. */
function cborMap(entries: readonly (readonly [number | string, Cbor | EncodedMap])[]): EncodedMap {
  const parts = entries.flatMap(([key, value]) => [cbor(key), cbor(value)]);
  return Object.assign(Buffer.concat([head(5, entries.length), ...parts]), { isMap: true as const });
}

type EncodedMap = Buffer & { isMap: true };

function cbor(value: Cbor | EncodedMap): Buffer {
  if (typeof value === 'number') return value >= 0 ? head(0, value) : head(1, -1 - value);
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)]);
  return 'isMap' in value ? value : Buffer.concat([head(2, value.length), value]);
}

function head(major: number, length: number): Buffer {
  if (length < 24) return Buffer.from([(major << 5) | length]);
  if (length < 256) return Buffer.from([(major << 5) | 24, length]);
  return Buffer.from([(major << 5) | 25, length >> 8, length & 255]);
}
