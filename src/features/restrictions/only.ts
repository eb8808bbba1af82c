import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { Account } from "../../core/account.ts";
import { type AccountSet, EVERYWHERE, isInSet } from "../../core/account-sets.ts";
import { accountWith } from "../../core/identity.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { SettingsStore } from "../../core/ports.ts";
import { setsUnreadable } from "../../core/request/turn-texts.ts";
import {
	accountChoices,
	type Failure,
	isFailure,
	jsonChoice,
	type Outcome,
	parseOptions,
	resolveAccount,
	type Subcommand,
	usageError,
} from "../../pi/command.ts";
import type { OnlyDocument } from "../../pi/json-schemas.ts";
import { sessionIdOf } from "../../pi/session-id.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { projectOf, realFolder } from "../../platform/stores/session-folders.ts";
import * as texts from "./texts.ts";

const ALL = "all";

/** What to do: show the set that applies, make one, or end it. */
type Args =
	| { readonly kind: "show"; readonly asJson: boolean }
	| { readonly kind: "set"; readonly accounts: readonly Account[] }
	| { readonly kind: "end" };

interface Ports {
	readonly pool: Pool;
	readonly settings: SettingsStore;
	readonly session: Pick<SessionView, "nextRequest">;
}

/** `/multicodex only`: the accounts that sessions of this project may use. */
export function createOnly(ports: Ports): Subcommand<Args> {
	const usage = "only [account …|all] [--json]";
	return {
		name: "only",
		usage,
		summary: "limit the sessions of this project to some accounts; all ends that",
		complete: (before) => {
			const chosen = before.filter((word) => !word.startsWith("--"));
			// A word with a closed quote is a complete label.
			if (chosen.includes(ALL) || chosen.some((word) => word.includes('"'))) return [];
			const all = { value: ALL, label: ALL, description: "sessions here may use every account again" };
			const accounts = accountChoices(ports, ({ id, label }) => !chosen.includes(label) && !chosen.includes(id));
			return [...accounts, ...(chosen.length === 0 ? [all, ...jsonChoice(before)] : [])];
		},
		parse: (words) => parseOnly(words, usage, ports.pool),
		run: (args, { host }) => carryOut(args, host, ports),
	};
}

function parseOnly(words: readonly string[], usage: string, pool: Pick<Pool, "accounts">): Args | Failure {
	const given = parseOptions(words, ["--json"], usage);
	if ("failure" in given) return given;
	const { rest, options } = given;
	if (rest.length === 0) return { kind: "show", asJson: options.has("--json") };
	if (rest.some((word) => word.toLowerCase() === ALL)) {
		return rest.length === 1 ? { kind: "end" } : usageError(usage, `${ALL} cannot be combined with anything else.`);
	}
	const each = rest.map((word) => resolveAccount([word], pool, [ALL]));
	// A label that contains a blank may be typed without quotes.
	const whole = each.some(isFailure) && rest.length > 1 ? resolveAccount(rest, pool) : undefined;
	if (whole && !isFailure(whole)) return { kind: "set", accounts: [whole] };
	const failure = each.find(isFailure);
	if (failure) return failure;
	const accounts = each.flatMap((account) => (isFailure(account) ? [] : [account]));
	return { kind: "set", accounts: [...new Set(accounts)] };
}

async function carryOut(args: Args, host: ExtensionCommandContext, ports: Ports): Promise<Outcome> {
	const { pool, settings, session } = ports;
	const holding = pool.setFor(sessionIdOf(host));
	if (args.kind === "show") {
		const text = holding ? texts.setHolds(holding.folder, namesIn(holding, pool)) : texts.noSet(projectOf(host.cwd));
		return { text, json: setAsJson(host, ports), asJson: args.asJson };
	}
	if (holding?.folder === EVERYWHERE) return { failure: setsUnreadable() };
	if (args.kind === "end") {
		if (!holding) return { text: texts.noSet(projectOf(host.cwd)), json: setAsJson(host, ports) };
		await settings.change(keysOf(holding.folder, settings).map((key) => ({ path: ["sets", key], value: undefined })));
		pool.emit({ type: "changed" });
		const outer = pool.setFor(sessionIdOf(host))?.folder;
		const text = texts.setEnded(holding.folder, outer, session.nextRequest(host));
		return { text, json: setAsJson(host, ports) };
	}
	const folder = folderFor(host.cwd, holding);
	await settings.change([
		...keysOf(folder, settings).map((key) => ({ path: ["sets", key], value: undefined })),
		{ path: ["sets", folder], value: args.accounts.map(({ id }) => id) },
	]);
	pool.emit({ type: "changed" });
	const set = { folder, accounts: args.accounts.map(({ id }) => id) };
	const pin = pool.account(pool.pinned());
	const text = texts.setMade(folder, namesIn(set, pool), {
		next: session.nextRequest(host),
		pinned: pin && !isInSet(set, pin) ? pin : undefined,
	});
	return { text, json: setAsJson(host, ports) };
}

/** Returns the project, unless a set already applies to a folder within it: that one would continue to apply. */
function folderFor(cwd: string, holding: AccountSet | undefined): string {
	const project = projectOf(cwd);
	if (!holding) return project;
	const nearest = realFolder(holding.folder);
	return projectOf(nearest) === project && nearest.length > project.length ? nearest : project;
}

/** Returns every key in the file that leads to `folder`. */
function keysOf(folder: string, settings: Pick<SettingsStore, "read">): string[] {
	const wanted = realFolder(folder);
	return Object.keys(settings.read().sets).filter((key) => key === folder || realFolder(key) === wanted);
}

function namesIn({ accounts }: AccountSet, pool: Pick<Pool, "accounts">): string[] {
	return accounts.map((id) => texts.nameOr(accountWith(pool.accounts(), id), id));
}

function setAsJson(host: ExtensionCommandContext, { pool }: Pick<Ports, "pool">): OnlyDocument {
	const set = pool.setFor(sessionIdOf(host));
	return {
		version: 1,
		folder: projectOf(host.cwd),
		set: set
			? {
					folder: set.folder === EVERYWHERE ? null : set.folder,
					accounts: set.accounts.map((id) => {
						const account = accountWith(pool.accounts(), id);
						return { id: account?.id ?? id, label: account?.label ?? null };
					}),
				}
			: null,
	};
}
