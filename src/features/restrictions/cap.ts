import type { Account } from "../../core/account.ts";
import { reachedCap, WORDS_OF_WINDOWS } from "../../core/caps.ts";
import { accountWith } from "../../core/identity.ts";
import { entriesById } from "../../core/ids.ts";
import { iso } from "../../core/iso-time.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { UsageMonitor } from "../../core/pool/usage-monitor.ts";
import type { Clock, SettingEdit, SettingsStore } from "../../core/ports.ts";
import { includedOf, remaining, windowName } from "../../core/quota.ts";
import {
	accountChoices,
	type Failure,
	isFirstPositional,
	jsonChoice,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import type { CapDocument } from "../../pi/json-schemas.ts";
import { capText } from "../../ui-kit/account-texts.ts";
import { alignColumns } from "../../ui-kit/format.ts";
import { type CapWish, readCapWords } from "./rules.ts";
import * as texts from "./texts.ts";

/** What to do: show caps, set some, or end every cap of one account or of all. */
type Args =
	| { readonly kind: "show"; readonly account: Account | undefined; readonly asJson: boolean }
	| { readonly kind: "set"; readonly account: Account; readonly wishes: readonly CapWish[] }
	| { readonly kind: "end"; readonly account: Account | undefined };

interface Ports {
	readonly pool: Pool;
	readonly settings: SettingsStore;
	readonly usage: Pick<UsageMonitor, "ask">;
	readonly clock: Clock;
}

/** `/multicodex cap`: what no session may use of an account's windows. */
export function createCap(ports: Ports): Subcommand<Args> {
	const usage = "cap [account] [week=20|off …] [--json]";
	return {
		name: "cap",
		usage,
		summary: "keep part of an account's quota unused",
		onAccount: { args: (account) => ({ kind: "show", account, asJson: false }) },
		complete: (before) => {
			if (isFirstPositional(before)) return [...accountChoices(ports), ...jsonChoice(before)];
			return ["week=20", "5h=10", "month=20", "off"].map((value) => ({ value, label: value }));
		},
		parse: (words) => parseCap(words, usage, ports.pool),
		run: (args) => carryOut(args, ports),
	};
}

function parseCap(words: readonly string[], usage: string, pool: Pick<Pool, "accounts">): Args | Failure {
	const given = parseOptions(words, ["--json"], usage);
	if ("failure" in given) return given;
	const read = readCapWords(given.rest);
	if ("problem" in read) return usageError(usage, read.problem);
	const { wishes, isEnd } = read;
	if (read.account.length === 0) {
		if (wishes.length > 0) return usageError(usage, "The account is missing.");
		return isEnd
			? { kind: "end", account: undefined }
			: { kind: "show", account: undefined, asJson: given.options.has("--json") };
	}
	const account = resolveAccount(read.account, pool);
	if ("failure" in account) return account;
	if (wishes.length > 0) return { kind: "set", account, wishes };
	return isEnd ? { kind: "end", account } : { kind: "show", account, asJson: given.options.has("--json") };
}

async function carryOut(args: Args, ports: Ports): Promise<Outcome> {
	const { pool, settings } = ports;
	switch (args.kind) {
		case "show":
			return { text: listOf(args.account, ports), json: capsAsJson(ports), asJson: args.asJson };
		case "set":
			return setCaps(args.account, args.wishes, ports);
		default: {
			const { account } = args;
			const paths = account ? idsOf(account).map((id) => ["caps", id]) : [["caps"]];
			await settings.change(paths.map((path) => ({ path, value: undefined })));
			pool.emit({ type: "changed" });
			return { text: account ? texts.capsEnded(account, []) : texts.allCapsEnded(), json: capsAsJson(ports) };
		}
	}
}

async function setCaps(account: Account, wishes: readonly CapWish[], ports: Ports): Promise<Outcome> {
	const { pool, settings, usage, clock } = ports;
	await settings.change(wishes.flatMap((wish) => editsFor(account, wish)));
	pool.emit({ type: "changed" });
	const known = pool.status(account.id).usage;
	// A cap is only as good as the usage that it is compared with.
	if (!known) void usage.ask(account.id);
	const set = wishes.filter(({ floor }) => floor !== undefined);
	const ended = wishes.filter(({ floor }) => floor === undefined).map(({ window }) => window);
	const floors = Object.fromEntries(set.map(({ window, floor }) => [window, floor ?? 0]));
	const said = [
		...(set.length > 0
			? [texts.capsSet(account, Object.keys(floors), { floors, usage: known, now: clock.now() })]
			: []),
		...(ended.length > 0 ? [texts.capsEnded(account, ended)] : []),
	];
	return { text: said.join(" "), json: capsAsJson(ports) };
}

/** Returns edits that leave a cap in one place only: not under another word for its window, nor under a former id. */
function editsFor(account: Account, { window, floor }: CapWish): SettingEdit[] {
	const words = [window, ...WORDS_OF_WINDOWS.filter(([, name]) => name === window).map(([word]) => word)];
	return idsOf(account).flatMap((id) =>
		words.map((word) => ({
			path: ["caps", id, word],
			value: id === account.id && word === window ? floor : undefined,
		})),
	);
}

function idsOf({ id, formerIds = [] }: Account): readonly string[] {
	return [id, ...formerIds];
}

/** Returns every stored cap, with its account if that is in the pool. */
function capsIn({ pool, settings }: Pick<Ports, "pool" | "settings">) {
	return entriesById(settings.read().caps).flatMap(([id, floors]) => {
		const account = accountWith(pool.accounts(), id);
		const usage = account && pool.status(account.id).usage;
		return Object.entries(floors).map(([window, floor]) => ({ id, account, usage, window, floor }));
	});
}

function listOf(only: Account | undefined, ports: Ports): string {
	const now = ports.clock.now();
	const caps = capsIn(ports).filter(({ account }) => only === undefined || account?.id === only.id);
	if (caps.length === 0) return only ? texts.noCapsOn(only) : texts.noCaps();
	const rows = caps.map(({ id, account, usage, window, floor }) => {
		return [texts.nameOr(account, id), capText(window, { [window]: floor }, usage, now)];
	});
	return alignColumns(rows).join("\n");
}

function capsAsJson(ports: Pick<Ports, "pool" | "settings" | "clock">): CapDocument {
	const now = ports.clock.now();
	return {
		version: 1,
		caps: capsIn(ports).map(({ id, account, usage, window, floor }) => {
			const known = usage ? includedOf(usage).filter(({ windowMinutes }) => windowName(windowMinutes) === window) : [];
			const left = known.map((each) => remaining(each, now));
			const reached = reachedCap({ [window]: floor }, usage, now);
			return {
				account: { id: account?.id ?? id, label: account?.label ?? null },
				window,
				floorPercent: floor,
				leftPercent: left.length > 0 ? Math.min(...left) : null,
				reached: reached !== undefined,
				until: iso(reached?.until),
			};
		}),
	};
}
