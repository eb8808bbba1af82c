import { z } from "zod";

/**
 * What `--json` prints, each document by its command. Fields are added within a version; a change of meaning is a new
 * version. No document holds a secret; times are ISO 8601, UTC.
 */

const time = z.iso.datetime();
const accountId = z.string().regex(/^[\w-]{1,64}$/);

const windowSchema = z.strictObject({
	/** By its length: `5h`, `7d`, `30d`. */
	name: z.string(),
	minutes: z.number(),
	usedPercent: z.number(),
	resetsAt: time.nullable(),
});

const accountSchema = z.strictObject({
	id: accountId,
	label: z.string(),
	email: z.string().nullable(),
	plan: z.string().nullable(),
	source: z.string(),
	linked: z.boolean(),
	state: z.enum(["ready", "cooling", "needs-login", "disabled"]),
	active: z.boolean(),
	pinned: z.boolean(),
	readyAt: time.nullable(),
	cooldowns: z.array(
		z.strictObject({
			scope: z.string().regex(/^(account|limit:.+|model:.+)$/),
			reason: z.string(),
			until: time.nullable(),
		}),
	),
	token: z.strictObject({ expiresAt: time.nullable() }),
	usage: z
		.strictObject({
			capturedAt: time.nullable(),
			source: z.enum(["headers", "api"]),
			stale: z.boolean(),
			windows: z.array(windowSchema),
			credits: z
				.strictObject({ hasCredits: z.boolean(), unlimited: z.boolean(), balance: z.string().nullable() })
				.nullable(),
		})
		.nullable(),
	lastUsedAt: time.nullable(),
	lastError: z.string().nullable(),
});

/** `show --json`. */
export const showSchema = z.strictObject({
	version: z.literal(1),
	enabled: z.boolean(),
	policy: z.string(),
	active: accountId.nullable(),
	pinned: accountId.nullable(),
	accounts: z.array(accountSchema),
});

/** `verify --json`. Names accounts by their ids alone, and no path. */
export const verifySchema = z.strictObject({
	version: z.literal(1),
	/** False where the exit code is 1. */
	healthy: z.boolean(),
	findings: z.array(
		z.strictObject({
			level: z.enum(["ok", "note", "warning", "problem"]),
			code: z.string(),
			/** A file, a lock, an account's id, an endpoint, a version or a variable. */
			subject: z.string().nullable(),
			text: z.string(),
			/** What to do about it. */
			advice: z.string().nullable(),
		}),
	),
	/** What `--fix` has done. */
	repaired: z.array(
		z.strictObject({ kind: z.enum(["permissions", "lock", "leftover", "set-aside"]), subject: z.string() }),
	),
});

/** The document of `show --json`. */
export type ShowDocument = z.output<typeof showSchema>;

/** The document of `verify --json`. */
export type VerifyDocument = z.output<typeof verifySchema>;
