import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Bench, type BenchOptions, createBench } from "../e2e/support.ts";
import { answers } from "../support/fake-codex/index.ts";
import type { HostName } from "../support/hosts.ts";
import type { Terminal } from "../support/terminal.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The moment at which every screen is taken: the clock of its pi stands still there. */
export const NOW = Date.UTC(2026, 10, 20, 13, 50, 12);

/** An account of the scene. Percentages are used ones; a window without a reset has not begun. */
export interface Actor {
	readonly name: string;
	readonly label?: string;
	readonly email?: string;
	readonly plan?: string;
	readonly fiveHour?: readonly [usedPercent: number, resetsInMs: number | undefined];
	readonly week?: readonly [usedPercent: number, resetsInMs: number | undefined];
	readonly row?: Readonly<Record<string, unknown>>;
	readonly coolsForMs?: number;
	/** The id of a limit whose model it may not use. */
	readonly refusedLimit?: string;
	readonly usedAgoMs?: number;
	readonly usageAgeMs?: number;
	/** Sessions of other processes that are at work on it. */
	readonly sessions?: number;
	/** More of its usage, as it is stored. */
	readonly told?: Readonly<Record<string, unknown>>;
	/** Reset credits, as they are listed. */
	readonly resetCredits?: readonly { readonly id: string; readonly expiresAt: number }[];
	/** Its usage is known, and tells no window. */
	readonly hasNoLimit?: true;
}

/** Four accounts in four states. */
export const FOUR: readonly Actor[] = [
	{
		name: "work",
		email: "me@acme.example",
		fiveHour: [27, 67 * MINUTE_MS],
		week: [8, 6 * DAY_MS + 20 * HOUR_MS],
		usedAgoMs: MINUTE_MS,
	},
	{ name: "personal", plan: "pro", fiveHour: [0, undefined], week: [42, 3 * DAY_MS + 4 * HOUR_MS] },
	{
		name: "side",
		fiveHour: [100, 42 * MINUTE_MS],
		week: [69, DAY_MS + 9 * HOUR_MS],
		coolsForMs: 42 * MINUTE_MS,
	},
	{ name: "old-team", plan: "team", row: { needsLogin: { reason: "refresh_token_expired", at: NOW - DAY_MS } } },
];

/** Where a screen is taken. */
export interface SceneOptions {
	readonly actors?: readonly Actor[];
	readonly columns?: number;
	readonly rows?: number;
	readonly theme?: "dark" | "light";
	readonly host?: HostName;
	readonly settings?: BenchOptions["settings"];
	/** Name of the account that the session was with last; default: the first. */
	readonly active?: string;
	/** No account has served the session yet. */
	readonly isNew?: true;
	/** More of `codex-state.json`. */
	readonly state?: Readonly<Record<string, unknown>>;
	/** Accounts that are not added yet. */
	readonly strangers?: readonly string[];
	/** Puts other things into the home before pi starts. */
	readonly furnish?: (bench: Bench) => Promise<void>;
	/** More of the environment. */
	readonly env?: (bench: Bench) => Readonly<Record<string, string>>;
}

/** A real pi in a terminal whose accounts, usage and clock are the same each time. */
export async function startScene(
	options: SceneOptions = {},
): Promise<{ readonly bench: Bench; readonly terminal: Terminal }> {
	const {
		actors = FOUR,
		columns = 80,
		rows = 30,
		theme = "dark",
		host = "0.73.1",
		settings,
		state,
		env,
		strangers = [],
	} = options;
	const bench = await createBench({
		host,
		accounts: actors.map(({ name, email, plan = "plus" }) => ({
			name,
			plan,
			...(email === undefined ? {} : { email }),
		})),
		strangers,
		settings: { theme, ...settings },
	});
	await options.furnish?.(bench);
	// What is on the screen is what was known before: nothing else ever comes.
	for (const account of bench.codex.accounts) account.usage(answers.hang());
	const accounts = actors.map(({ name, label = name, row = {} }) =>
		bench.row(name, {
			label,
			addedAt: NOW - 30 * DAY_MS,
			credential: bench.codex.grant(name, { expiresInMs: NOW + 4.5 * HOUR_MS - Date.now() }),
			...row,
		}),
	);
	bench.dir.write("codex-accounts.json", { version: 2, accounts });
	const statusById = actors.map((actor) => [bench.id(actor.name), statusOf(actor)] as const);
	// No account is new here, unless a scene is about just that.
	const welcomed = actors.length === 0 && !options.furnish ? { welcomedAt: NOW } : {};
	const live = actors.flatMap(({ name, sessions = 0 }) =>
		Array.from({ length: sessions }, (_, at) => [`${name} ${at}`, { account: bench.id(name), at: NOW - MINUTE_MS }]),
	);
	const accountsOf = { live: Object.fromEntries(live), accounts: Object.fromEntries(statusById) };
	const remembered = { version: 1, pin: null, ...welcomed, ...accountsOf };
	bench.dir.write("codex-state.json", { ...remembered, ...state });
	const clock = fileURLToPath(new URL("../support/preload/clock.mjs", import.meta.url));
	const [first] = actors;
	const session = first && !options.isNew ? writeSession(bench, options.active ?? first.name) : undefined;
	const terminal = bench.terminal(session === undefined ? ["--no-session"] : ["--session", session], {
		cols: columns,
		rows,
		env: {
			...env?.(bench),
			NO_COLOR: undefined,
			NODE_OPTIONS: `--import ${clock}`,
			TEST_PRELOAD_CLOCK: JSON.stringify({ fixedAt: NOW }),
		},
	});
	await terminal.ready(30_000);
	return { bench, terminal };
}

/** A session that an account has served, so that the account is the active one from the start. */
function writeSession({ dir, id }: Bench, name: string): string {
	const path = join(dir.home, "session.jsonl");
	const timestamp = new Date(NOW - MINUTE_MS).toISOString();
	const lines = [
		{ type: "session", version: 3, id: "00000000-0000-4000-8000-000000000000", timestamp, cwd: dir.cwd },
		{
			type: "custom",
			customType: "multicodex",
			data: { account: id(name) },
			id: "0000000a",
			parentId: null,
			timestamp,
		},
	];
	writeFileSync(path, `${lines.map((line) => JSON.stringify(line)).join("\n")}\n`);
	return path;
}

function statusOf({
	plan = "plus",
	fiveHour,
	week,
	coolsForMs,
	usedAgoMs,
	usageAgeMs = 12_000,
	hasNoLimit,
	resetCredits,
	told,
	refusedLimit,
}: Actor): Record<string, unknown> {
	const window = (windowMinutes: number, told: Actor["week"]) =>
		told
			? [{ windowMinutes, usedPercent: told[0], ...(told[1] === undefined ? {} : { resetsAt: NOW + told[1] }) }]
			: [];
	const windows = [...window(300, fiveHour), ...window(10_080, week)];
	const cooldown = {
		scope: "account",
		reason: "usage_limit",
		until: NOW + (coolsForMs ?? 0),
		setAt: NOW - MINUTE_MS,
		models: [],
	};
	const refused = { ...cooldown, scope: `limit:${refusedLimit}`, reason: "model_not_supported", until: NOW + DAY_MS };
	return {
		strikes: 0,
		cooldowns: [...(coolsForMs === undefined ? [] : [cooldown]), ...(refusedLimit === undefined ? [] : [refused])],
		...((windows.length > 0 || hasNoLimit) && {
			usage: { capturedAt: NOW - usageAgeMs, source: "api", plan, windows, limits: {}, ...told },
		}),
		...(resetCredits && { resetCredits: { askedAt: NOW, listedAt: NOW, credits: resetCredits } }),
		...(usedAgoMs === undefined ? {} : { lastUsedAt: NOW - usedAgoMs }),
	};
}
