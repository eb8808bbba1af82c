import { z } from "zod";
import type { AccountId } from "../domain/account.ts";
import { activeCooldowns, type Cooldown, type CooldownReason, type CooldownScope } from "../domain/cooldown.ts";
import type { AccountMemo, StateStore } from "../pool/ports.ts";
import { openSharedDocument } from "./shared-document.ts";

/** Version of `codex-state.json` that is written here. */
export const STATE_VERSION = 1;

const time = z.number().finite();
const optionalTime = time.optional().catch(undefined);
const optionalText = z.string().optional().catch(undefined);

const REASONS = [
	"usage_limit",
	"workspace_limit",
	"rate_limit",
	"not_included",
	"model_not_supported",
	"workspace_disabled",
	"unauthorized",
] as const satisfies readonly CooldownReason[];

const cooldownSchema = z.object({
	scope: z.custom<CooldownScope>(
		(value) => value === "account" || (typeof value === "string" && /^(limit|model):./.test(value)),
	),
	reason: z.enum(REASONS),
	until: time,
	setAt: time.catch(0),
	models: z.array(z.string()).readonly().catch([]),
});

const windowSchema = z.object({ usedPercent: time, windowMinutes: time, resetsAt: optionalTime });

const usageSchema = z.object({
	capturedAt: time,
	source: z.enum(["headers", "api"]),
	plan: optionalText,
	windows: z.array(windowSchema).readonly(),
	limits: z.record(z.string(), z.object({ name: optionalText, windows: z.array(windowSchema).readonly() })).catch({}),
	credits: z
		.object({ hasCredits: z.boolean(), unlimited: z.boolean(), balance: optionalText })
		.optional()
		.catch(undefined),
	limitReached: z.boolean().catch(false),
});

/** One damaged part must not take the rest with it: each falls back on its own. */
const memoSchema = z.looseObject({
	cooldowns: z
		.array(z.unknown())
		.catch([])
		.transform((rows): readonly Cooldown[] => rows.flatMap((row) => cooldownSchema.safeParse(row).data ?? [])),
	usage: usageSchema.optional().catch(undefined),
	usageAskedAt: optionalTime,
	lastUsedAt: optionalTime,
	lastError: z.object({ text: z.string(), at: time }).optional().catch(undefined),
	strikes: z.number().int().nonnegative().catch(0),
	exchange: z.object({ tokenHash: z.string(), at: time }).optional().catch(undefined),
});

const fileSchema = z.looseObject({
	version: z.literal(STATE_VERSION),
	pin: z.string().nullable().catch(null),
	accounts: z.record(
		z.string(),
		memoSchema.catch(() => ({ cooldowns: [], strikes: 0 })),
	),
});
type StateFile = z.output<typeof fileSchema>;

const EMPTY_MEMO: AccountMemo = { cooldowns: [], strikes: 0 };

/** Clocks of two machines, or one that was set back, may disagree by this much before a snapshot is from the future. */
const CLOCK_TOLERANCE_MS = 60_000;

/** Opens `codex-state.json` at `path`. `onProblem` hears of newer and unwritable files, once each. */
export function openStateStore(path: string, onProblem: (text: string) => void, now: () => number): StateStore {
	const document = openSharedDocument({
		path,
		schema: fileSchema,
		version: STATE_VERSION,
		empty: (): StateFile => ({ version: STATE_VERSION, pin: null, accounts: {} }),
		onProblem: (problem) => onProblem(problem.text),
	});
	// A state that cannot be written is kept in memory: nothing in it is worth failing a request for.
	const durable = (change: (draft: StateFile) => void) => document.change(change).catch(() => undefined);
	const applyTo = (id: AccountId, change: (memo: AccountMemo) => AccountMemo) => (draft: StateFile) => {
		const former = draft.accounts[id];
		draft.accounts[id] = { ...former, ...change(former ? readable(former, now()) : EMPTY_MEMO) };
	};

	return {
		pin: () => document.read().pin ?? undefined,
		setPin: (id) =>
			durable((draft) => {
				draft.pin = id ?? null;
			}),
		memo: (id) => {
			const stored = document.read().accounts[id];
			return stored ? readable(stored, now()) : EMPTY_MEMO;
		},
		update: (id, change) => durable(applyTo(id, change)),
		updateSoon: (id, change) => document.changeSoon(applyTo(id, change)),
		clearCooldowns: () =>
			durable((draft) => {
				for (const memo of Object.values(draft.accounts)) {
					memo.cooldowns = [];
					memo.strikes = 0;
				}
			}),
		forget: (id) =>
			durable((draft) => {
				delete draft.accounts[id];
				if (draft.pin === id) draft.pin = null;
			}),
		flush: () => document.flush(),
	};
}

/** What is stored, without what cannot be true: expired or absurd cooldowns, snapshots from the future. */
function readable(stored: AccountMemo, now: number): AccountMemo {
	const { usage } = stored;
	return {
		...stored,
		cooldowns: activeCooldowns(stored.cooldowns, now),
		usage: usage && usage.capturedAt <= now + CLOCK_TOLERANCE_MS ? usage : undefined,
	};
}
