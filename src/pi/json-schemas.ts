import { z } from "zod";
import { DECISION_KINDS } from "../core/decision.ts";
import { ACCOUNT_ID } from "../core/ids.ts";
import { POOL_PROBLEMS } from "../core/shared-pool.ts";

/**
 * What `--json` prints, one schema per command. Within a version, fields are only added; a change of meaning is a new
 * version. No document contains a secret. Times are ISO 8601, UTC.
 */

const time = z.iso.datetime();
const accountId = z.string().regex(ACCOUNT_ID);

const windowSchema = z.strictObject({
	/** Named by its length: `5h`, `7d`, `30d`. */
	name: z.string(),
	minutes: z.number(),
	usedPercent: z.number(),
	resetsAt: time.nullable(),
});

/** A monthly budget or a member's cap. */
const budgetSchema = windowSchema.extend({
	/** True if the server says that it is spent. */
	reached: z.boolean(),
	/** In the server's unit, if it reports amounts. */
	used: z.number().nullable(),
	limit: z.number().nullable(),
});

/** An account that several machines share. */
const sharedSchema = z.strictObject({
	/** The other machines that work on it. */
	machines: z.array(z.strictObject({ name: z.string(), sessions: z.number() })),
	/** Who renews its sign-in: this machine, or a keeper's. `waits` while the pool is unreachable. */
	renewal: z.enum(["here", "keepers", "waits"]),
});

const accountSchema = z.strictObject({
	id: accountId,
	label: z.string(),
	email: z.string().nullable(),
	plan: z.string().nullable(),
	source: z.string(),
	linked: z.boolean(),
	/** Absent for an account of this machine alone. */
	shared: sharedSchema.optional(),
	state: z.enum(["ready", "cooling", "needs-login", "disabled"]),
	active: z.boolean(),
	pinned: z.boolean(),
	readyAt: time.nullable(),
	cooldowns: z.array(
		z.strictObject({
			scope: z.string().regex(/^(account$|(limit|model):.)/),
			reason: z.string(),
			until: time.nullable(),
			/** True if nothing showed when it ends. */
			guessed: z.boolean().optional(),
		}),
	),
	token: z.strictObject({ expiresAt: time.nullable() }),
	usage: z
		.strictObject({
			capturedAt: time.nullable(),
			source: z.enum(["headers", "api"]),
			stale: z.boolean(),
			windows: z.array(windowSchema),
			/** Absent for an account without budgets. */
			budgets: z.array(budgetSchema).optional(),
			credits: z
				.strictObject({
					hasCredits: z.boolean(),
					unlimited: z.boolean(),
					balance: z.string().nullable(),
					/** True if the spending limit is reached; otherwise absent. */
					overageReached: z.boolean().optional(),
				})
				.nullable(),
			/** Luna Reserve; absent for an account without it. */
			reserveModel: z
				.strictObject({
					/** The model that answers. */
					model: z.string(),
					windows: z.array(windowSchema),
					/** True if the server says that it is used up. */
					reached: z.boolean(),
				})
				.optional(),
			/** How many reset credits can be redeemed; absent if there are none. */
			resetCredits: z.number().optional(),
		})
		.nullable(),
	/** False if the account is not in the account set of the session's folder; otherwise absent. */
	inSet: z.literal(false).optional(),
	/** Absent for an account without caps. */
	caps: z.array(z.strictObject({ window: z.string(), floorPercent: z.number(), reached: z.boolean() })).optional(),
	/** Its reset credits, the first to expire first; absent until they are listed, and if there are none. */
	resetCredits: z.array(z.strictObject({ expiresAt: time.nullable() })).optional(),
	lastUsedAt: time.nullable(),
	lastError: z.string().nullable(),
});

const setSchema = z.strictObject({
	/** Absolute path; null while the sets in `settings.json` cannot be read and no account serves. */
	folder: z.string().nullable(),
	/** Account ids, including accounts that have left the pool. */
	accounts: z.array(z.string()),
});

/** When something runs out: as likely before as after `dryAt`, and in four of five cases between `from` and `to`. */
const outlookSchema = z.strictObject({
	dryAt: time.nullable(),
	from: time.nullable(),
	/** Null if it may happen after the next week, or never. */
	to: time.nullable(),
	/** Scheduled resets until `dryAt`. `percent` is relative to all the pool's windows of that length. */
	comesBack: z.array(z.strictObject({ at: time.nullable(), account: accountId, percent: z.number() })),
});

/** How long quota lasts. Absent while no forecast is possible. */
const forecastSchema = z.strictObject({
	madeAt: time.nullable(),
	/** When a request will find no account; null if not within a week. */
	pool: outlookSchema.nullable(),
	/** When the account that serves the session is spent. */
	serving: outlookSchema.nullable(),
	/** Accounts that will be spent within a week. */
	accounts: z.array(outlookSchema.extend({ id: accountId })),
});

/** `show --json`. */
export const showSchema = z.strictObject({
	version: z.literal(1),
	enabled: z.boolean(),
	policy: z.string(),
	active: accountId.nullable(),
	pinned: accountId.nullable(),
	/** The shared pool of this machine; absent if it has joined none. `share --json` says more. */
	pool: z
		.strictObject({
			name: z.string(),
			role: z.enum(["keeper", "runner"]),
			/** The name of this machine. */
			machine: z.string(),
			state: z.enum(["unknown", "connected", "resting", "followed", "away"]),
			/** Names of the other machines seen in the last five minutes. */
			machines: z.array(z.string()),
		})
		.optional(),
	/** The account set of the session's folder; absent if the session may use every account. */
	set: setSchema.optional(),
	accounts: z.array(accountSchema),
	forecast: forecastSchema.optional(),
});

/**
 * `pi-multicodex status --json`: what `show` reads from files, plus the number of ready accounts and the status line.
 */
export const statusSchema = showSchema.omit({ forecast: true }).extend({
	/** Accounts that can serve from included quota, among those that sessions in this folder may use. */
	ready: z.number(),
	usable: z.number(),
	/** What `--line` prints. */
	line: z.string(),
});

const gateSchema = z.discriminatedUnion("kind", [
	z.strictObject({ kind: z.literal("disabled") }),
	z.strictObject({ kind: z.literal("needs-login") }),
	z.strictObject({ kind: z.literal("cooling"), until: time.nullable(), guessed: z.boolean().optional() }),
	/**
	 * Included quota is spent, but bought credits are left, for sessions already on the account. It has a rank if it
	 * serves on them because no other account can.
	 */
	z.strictObject({ kind: z.literal("credits"), until: time.nullable() }),
	/** Has a rank: after the accounts that have more left. */
	z.strictObject({
		kind: z.literal("reserve"),
		window: z.string(),
		leftPercent: z.number(),
		floorPercent: z.number(),
	}),
	/** A cap keeps what is left of that window, until it resets. */
	z.strictObject({
		kind: z.literal("capped"),
		window: z.string(),
		leftPercent: z.number(),
		floorPercent: z.number(),
		until: time.nullable(),
	}),
	/** The account is not in the account set of the session's folder. */
	z.strictObject({ kind: z.literal("not-in-set") }),
	/** The session waits: the sessions on this account need the quota left here. */
	z.strictObject({ kind: z.literal("crowded"), live: z.number(), roomPercent: z.number() }),
]);

/** `why --json`. Identifies accounts only by id. */
export const whySchema = z.strictObject({
	version: z.literal(1),
	enabled: z.boolean(),
	policy: z.string(),
	model: z.string().nullable(),
	/** The accounts in the set of the session's folder; absent if the session may use every account. */
	set: z.array(z.string()).optional(),
	/** The account that serves next; null if none of the pool does. */
	next: accountId.nullable(),
	/** The link of the chain that serves in place of the pool; absent if none does. */
	link: z.string().optional(),
	/** The term that ranked the first above the second. */
	decidedBy: z.string().nullable(),
	/** Ordered by rank, followed by those without one. */
	candidates: z.array(
		z.strictObject({
			id: accountId,
			rank: z.number().nullable(),
			/** What excludes the account. */
			gate: gateSchema.nullable(),
			/** The term that put it behind the previous one. */
			decidedBy: z.string().nullable(),
			/** Most significant first. */
			terms: z.array(z.strictObject({ name: z.string(), value: z.number().nullable(), text: z.string() })),
			/** Absent for an account of this machine alone. */
			shared: sharedSchema.optional(),
		}),
	),
	/** What may serve beyond included quota, in order; absent if nothing may. `ask`: after the person's consent. */
	beyond: z
		.array(
			z.strictObject({
				kind: z.enum(["credits", "reserve-model", "reset-credit", "chain"]),
				account: accountId.optional(),
				model: z.string().optional(),
				consent: z.enum(["given", "ask"]),
			}),
		)
		.optional(),
});

/** `log --json`. Identifies accounts only by id. */
export const logSchema = z.strictObject({
	version: z.literal(1),
	/** Newest last. Fields that do not apply are absent. */
	decisions: z.array(
		z.strictObject({
			at: time.nullable(),
			/** The process that logged it. */
			pid: z.number(),
			kind: z.enum(DECISION_KINDS),
			account: accountId.optional(),
			/** The account that was left. */
			from: accountId.optional(),
			reason: z.string().optional(),
			scope: z.string().optional(),
			window: z.string().optional(),
			leftPercent: z.number().optional(),
			until: time.nullable().optional(),
			/** True if that time is a guess. */
			guessed: z.boolean().optional(),
			total: z.number().optional(),
			cooling: z.number().optional(),
			untried: z.number().optional(),
			model: z.string().optional(),
			/** The link of the chain that serves, was left or was closed; the link before it; and whether it costs money. */
			link: z.string().optional(),
			formerLink: z.string().optional(),
			paid: z.boolean().optional(),
			/** Class of an error of ours, and where it occurred in our code, innermost frame first. */
			error: z.string().optional(),
			frames: z.array(z.string()).readonly().optional(),
			/** A preference that was stored, and its new value. */
			setting: z.string().optional(),
			value: z.string().optional(),
			/** A hash. */
			session: z.string().optional(),
			decidedBy: z.string().optional(),
			terms: z.record(z.string(), z.number()).optional(),
		}),
	),
});

/** `verify --json`. Identifies accounts only by id, and contains no path. */
export const verifySchema = z.strictObject({
	version: z.literal(1),
	/** False if the exit code is 1. */
	healthy: z.boolean(),
	findings: z.array(
		z.strictObject({
			level: z.enum(["ok", "note", "warning", "problem"]),
			code: z.string(),
			/** A file, a lock, an account id, an endpoint, a version or a variable. */
			subject: z.string().nullable(),
			text: z.string(),
			/** What to do about it. */
			advice: z.string().nullable(),
		}),
	),
	/** What `--fix` has repaired. */
	repaired: z.array(
		z.strictObject({ kind: z.enum(["permissions", "lock", "leftover", "set-aside"]), subject: z.string() }),
	),
});

/** `redeem --json`. Identifies accounts only by id. Without `--yes` it only lists. */
export const redeemSchema = z.strictObject({
	version: z.literal(1),
	/** The account that was reset. */
	redeemed: accountId.nullable(),
	/** Null if no redemption was requested. */
	outcome: z.enum(["redeemed", "already", "nothing-to-reset", "no-credit", "failed", "busy"]).nullable(),
	/** Why nothing was redeemed. */
	reason: z.string().nullable(),
	/** Accounts with reset credits, as they were before. */
	accounts: z.array(
		z.strictObject({
			id: accountId,
			/** The first to expire first. */
			credits: z.array(z.strictObject({ expiresAt: time.nullable() })),
			redeemable: z.boolean(),
			/** Why none may be redeemed now. */
			obstacle: z.string().nullable(),
			/** The spent window that a redemption resets early. */
			window: z.string().nullable(),
			/** When that window resets by itself. */
			resetsAt: time.nullable(),
			/** Every window that a redemption resets. */
			resets: z.array(z.string()),
		}),
	),
});

/** `cap --json`. */
export const capSchema = z.strictObject({
	version: z.literal(1),
	caps: z.array(
		z.strictObject({
			/** The label is null if the account has left the pool. */
			account: z.strictObject({ id: z.string(), label: z.string().nullable() }),
			window: z.string(),
			/** What no session uses. */
			floorPercent: z.number(),
			/** Null if the account does not report that window, or its usage is unknown. */
			leftPercent: z.number().nullable(),
			/** True if the account does not serve until then. */
			reached: z.boolean(),
			until: time.nullable(),
		}),
	),
});

/** `chain --json`. */
export const chainSchema = z.strictObject({
	version: z.literal(1),
	/** The model that uses the chain; null on a pi without virtual models. */
	virtualModel: z.string().nullable(),
	/** True if this session is on that model. */
	selected: z.boolean(),
	/** In the order in which they are asked. */
	links: z.array(
		z.strictObject({
			model: z.string(),
			state: z.enum(["ready", "unknown-model", "virtual", "no-credentials", "not-offered", "no-account", "failed"]),
			/** True for an API key and a price above 0. */
			paid: z.boolean(),
			subscription: z.boolean(),
			/** US dollars per million tokens, from pi's catalogue. */
			price: z.strictObject({ input: z.number(), output: z.number() }).nullable(),
			/** Why it failed, and when it is asked again; null also if something has to change first. */
			reason: z.enum(["quota", "sign-in", "model", "unreached"]).nullable(),
			until: time.nullable(),
		}),
	),
});

/** `only --json`. */
export const onlySchema = z.strictObject({
	version: z.literal(1),
	/** The folder under which a set made here is stored. */
	folder: z.string(),
	/** The set that applies here; null if sessions may use every account. */
	set: z
		.strictObject({
			/** Null while the sets in `settings.json` cannot be read and no account serves. */
			folder: z.string().nullable(),
			/** The label is null if the account has left the pool. */
			accounts: z.array(z.strictObject({ id: z.string(), label: z.string().nullable() })),
		})
		.nullable(),
});

/** `share --json`, and the output of `share`, `join` and `leave` in JSON mode. */
export const shareSchema = z.strictObject({
	version: z.literal(1),
	/** Null if this machine has joined none. */
	pool: z
		.strictObject({
			name: z.string(),
			role: z.enum(["keeper", "runner"]),
			/** The name of this machine. */
			machine: z.string(),
			/** Host and database. */
			place: z.string(),
			joinedBy: z.enum(["settings", "environment"]),
			connection: z.strictObject({
				state: z.enum(["unknown", "connected", "resting", "followed", "away"]),
				lookedAt: time.nullable(),
				/** True if changes arrive at once; null if not connected. */
				listens: z.boolean().nullable(),
				/** What is wrong with the database, a sentence about it, and since when. */
				problem: z.enum(POOL_PROBLEMS).nullable(),
				text: z.string().nullable(),
				since: time.nullable(),
			}),
			accounts: z.array(accountId),
			/** The other machines seen in the last five minutes. */
			machines: z.array(
				z.strictObject({
					name: z.string(),
					seenAt: time.nullable(),
					sessions: z.array(z.strictObject({ account: accountId, count: z.number() })),
				}),
			),
			/** How far this machine's clock is ahead of the database's; null before the first check. */
			clockAheadMs: z.number().nullable(),
			/** Number of renewed sign-ins not yet stored in the database. */
			journals: z.number(),
		})
		.nullable(),
	/** Secret. Null unless the pool was just created, its keys were replaced, or `--codes` asked for them. */
	codes: z.strictObject({ keeper: z.string(), runner: z.string() }).nullable(),
});

/** The standard input of the person's notice command. */
export const noticeSchema = z.strictObject({
	version: z.literal(1),
	/** The kind of notice. Others may be added. */
	event: z.enum(["goes-on", "pool-dry", "pool-back", "signed-out", "closed", "threshold", "pool-low", "test"]),
	at: time,
	/** The whole notice in one line. */
	text: z.string(),
	account: z.strictObject({ id: z.string(), label: z.string() }).nullable(),
	/** For a threshold: the window, what is left of it, and the threshold that it has reached. */
	window: z.string().nullable(),
	leftPercent: z.number().nullable(),
	threshold: z.number().nullable(),
	/** When that window resets, the first account is back, or the pool is forecast to run out. */
	until: time.nullable(),
});

/** The document of a notice. */
export type NoticeDocument = z.output<typeof noticeSchema>;

const amounts = {
	/** Number of answers, including those that broke off. */
	requests: z.number(),
	/** Input tokens that were not cached, and those that were. */
	input: z.number(),
	cached: z.number(),
	output: z.number(),
	/** What the API would charge, US dollars. */
	cost: z.number(),
	/** How often a session left the account because it could not continue there. */
	rotations: z.number(),
	refusals: z.number(),
	/** Time until those refusals arrived. */
	refusedMs: z.number(),
};

/** `usage --json`. Identifies accounts only by id, and projects by their folders. */
export const usageSchema = z.strictObject({
	version: z.literal(1),
	/** False if the person has counting switched off. */
	counting: z.boolean(),
	period: z.enum(["today", "week", "month", "all"]),
	by: z.enum(["account", "project", "model", "day"]),
	/** The first and last day on the local calendar. The first is null for everything kept. */
	from: z.iso.date().nullable(),
	to: z.iso.date(),
	/** Most tokens first; days newest first. */
	rows: z.array(
		z.strictObject({
			/** An id, a folder, a model, a day or a month; null for amounts kept for several together. */
			key: z.string().nullable(),
			...amounts,
			/** Tokens in each step. */
			course: z.array(z.number()),
		}),
	),
	total: z.strictObject(amounts),
	/** Days on the local calendar, or months such as `2026-11`; for a single day, the week up to it. */
	steps: z.array(z.string()),
});

/** The document of `usage --json`. */
export type UsageDocument = z.output<typeof usageSchema>;

/** The document of `cap --json`. */
export type CapDocument = z.output<typeof capSchema>;

/** The document of `only --json`. */
export type OnlyDocument = z.output<typeof onlySchema>;

/** The document of `chain --json`. */
export type ChainDocument = z.output<typeof chainSchema>;

/** The document of `share --json`. */
export type ShareDocument = z.output<typeof shareSchema>;

/** The document of `show --json`. */
export type ShowDocument = z.output<typeof showSchema>;

/** The document of `pi-multicodex status --json`. */
export type StatusDocument = z.output<typeof statusSchema>;

/** The document of `why --json`. */
export type WhyDocument = z.output<typeof whySchema>;

/** The document of `log --json`. */
export type LogDocument = z.input<typeof logSchema>;

/** The document of `verify --json`. */
export type VerifyDocument = z.output<typeof verifySchema>;

/** The document of `redeem --json`. */
export type RedeemDocument = z.output<typeof redeemSchema>;
