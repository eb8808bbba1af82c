import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from "node:crypto";
import type { Keys } from "./sealed-account.ts";
import type { JoinCode, Role, SealedPlace, Sealing } from "./types.ts";

/** First byte of a sealed text: AES-256-GCM with a nonce of 12 bytes and a tag of 16. */
const FORMAT = 1;
const CIPHER = "aes-256-gcm";
const KEY_ID_BYTES = 6;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;
const LEAST_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

interface Key {
	readonly bytes: Uint8Array;
	readonly id: Uint8Array;
}

/** Derives a runner's secret from a keeper's, by a function that cannot be reversed. */
export function runnerSecret(keeperSecret: Uint8Array): Uint8Array {
	return derive(keeperSecret, "pi-multicodex pool: secret of a runner");
}

/** Creates what seals and opens with the keys of a join code. A runner's code contains no key for a keeper's texts. */
export function createSealing(code: Pick<JoinCode, "role" | "secret">): Sealing {
	const isKeeper = code.role === "keeper";
	const keeper = isKeeper ? keyFor("keeper", code.secret) : undefined;
	const runner = keyFor("runner", isKeeper ? runnerSecret(code.secret) : code.secret);
	const keyOf = (kind: Role): Key | undefined => (kind === "keeper" ? keeper : runner);
	return {
		role: code.role,
		keyIds: { keeper: keeper && hex(keeper.id), runner: hex(runner.id) },
		seal: (text, place) => {
			const key = keyOf(place.kind);
			if (key === undefined) throw new Error("a runner cannot seal what only keepers may read");
			const header = Buffer.concat([Buffer.from([FORMAT]), key.id]);
			const nonce = randomBytes(NONCE_BYTES);
			const cipher = createCipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES });
			cipher.setAAD(boundTo(header, place));
			const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
			return new Uint8Array(Buffer.concat([header, nonce, sealed, cipher.getAuthTag()]));
		},
		open: (sealed, place) => {
			if (sealed.length < LEAST_BYTES || sealed[0] !== FORMAT) return { kind: "damaged" };
			const key = keyOf(place.kind);
			if (key === undefined || keyIdOf(sealed) !== hex(key.id)) return { kind: "other-key" };
			const text = decipher(key.bytes, Buffer.from(sealed), place);
			return text === undefined ? { kind: "damaged" } : { kind: "ok", text };
		},
	};
}

/** Returns the keys in a join code. */
export function keysOf(code: JoinCode): Keys {
	return { sealing: createSealing(code), poolId: code.poolId };
}

/** Returns the id of the key that a text is sealed with; undefined if it is not a sealed text. */
export function keyIdOf(sealed: Uint8Array): string | undefined {
	return sealed.length < LEAST_BYTES || sealed[0] !== FORMAT ? undefined : hex(sealed.subarray(1, HEADER_BYTES));
}

/** Returns undefined if the text was changed or moved to another place. */
function decipher(key: Uint8Array, sealed: Buffer, place: SealedPlace): string | undefined {
	const nonceEnd = HEADER_BYTES + NONCE_BYTES;
	const cipher = createDecipheriv(CIPHER, key, sealed.subarray(HEADER_BYTES, nonceEnd), { authTagLength: TAG_BYTES });
	cipher.setAAD(boundTo(sealed.subarray(0, HEADER_BYTES), place));
	cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
	try {
		return Buffer.concat([cipher.update(sealed.subarray(nonceEnd, -TAG_BYTES)), cipher.final()]).toString("utf8");
	} catch {
		// The tag does not match. Decryption fails in no other way, and its error says no more.
		return undefined;
	}
}

/** Returns what a text is bound to besides its key; as JSON, so that no two places have the same form. */
function boundTo(header: Uint8Array, { poolId, account, kind, version }: SealedPlace): Buffer {
	return Buffer.concat([header, Buffer.from(JSON.stringify([poolId, account, kind, version]))]);
}

function keyFor(role: Role, secret: Uint8Array): Key {
	const bytes = derive(secret, `pi-multicodex pool: sealing for ${role}s`);
	return { bytes, id: createHash("sha256").update("id").update(bytes).digest().subarray(0, KEY_ID_BYTES) };
}

function derive(secret: Uint8Array, purpose: string): Uint8Array {
	return new Uint8Array(hkdfSync("sha256", secret, new Uint8Array(), purpose, 32));
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
