import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { Clock, SettingEdit, SettingsStore } from "../core/ports.ts";
import { createCommands } from "../features/index.ts";
import { openHealth } from "../features/verify/disk.ts";
import type { CommandList } from "../pi/command.ts";
import { followFiles } from "../platform/files/file-watch.ts";
import { createLatePools } from "../platform/shared-pool/late-pools.ts";
import type { LedgerParts, OutsideParts } from "./events.ts";
import type { SignInParts } from "./host.ts";
import type { PoolParts, SessionParts } from "./pool.ts";
import type { Endpoints, Files, Sharing } from "./stores.ts";

interface Deps {
	readonly files: Files;
	readonly endpoints: Pick<Endpoints, "issuer">;
	readonly sharing: Pick<Sharing, "current" | "settings" | "loadPools">;
	readonly parts: PoolParts;
	readonly session: SessionParts;
	readonly signIn: Pick<SignInParts, "ways" | "loadImports">;
	readonly ledger: Pick<LedgerParts, "open">;
	readonly outside: Pick<OutsideParts, "screen" | "load">;
	readonly clock: Clock;
	/** True in a checkout; false in the package, which contains a bundle. */
	readonly isFromSource: boolean;
}

/** Creates the commands, and what only they need. Loaded with the first one: every start of pi would pay for it. */
export async function createCommandList(pi: ExtensionAPI, deps: Deps): Promise<CommandList> {
	const { files, endpoints, sharing, parts, session, signIn, ledger, outside, clock, isFromSource } = deps;
	const { paths, poolFile, piAuth } = files;
	const { pool, link, membership, credentials, usage, resets } = parts;
	return createCommands({
		...session,
		pool,
		eventLog: files.eventLog,
		followLog: (listener) => followFiles([paths.log], listener),
		ledger: await ledger.open(),
		membership,
		credentials,
		usage,
		resetCredits: resets.list,
		redeemer: resets.redeemer,
		imports: await signIn.loadImports(),
		link,
		signInWays: signIn.ways,
		clock,
		offersFor: session.beyond.offers,
		health: openHealth(files.directory, endpoints.issuer, clock.now),
		sharedPools: createLatePools(sharing.current, sharing.loadPools),
		loadNotices: outside.load,
		screen: outside.screen,
		isFromSource,
		paths,
		poolFile,
		settings: toldSettings(sharing.settings, pool),
		hasPiLogin: () => ["oauth", "foreign"].includes(piAuth.peek().kind),
		setModel: (model) => pi.setModel(model),
		removeBackups: async () => {
			const total = await files.accounts.removeBackups();
			if (total > 0) pool.emit({ type: "backups-deleted", total });
			return total;
		},
	});
}

/** Logs every preference that a person changes, by whatever command. */
function toldSettings(settings: SettingsStore, { emit }: Pick<PoolParts["pool"], "emit">): SettingsStore {
	return {
		...settings,
		set: async (values) => {
			await settings.set(values);
			for (const [name, value] of Object.entries(values)) emit({ type: "setting", ...settingTold([name], value) });
		},
		change: async (edits) => {
			await settings.change(edits);
			for (const { path, value } of edits) emit({ type: "setting", ...settingTold(path, value) });
		},
		changeChain: async (change) => {
			await settings.changeChain(change);
			emit({ type: "setting", ...settingTold(["beyond", "chain"], settings.read().beyond.chain) });
		},
	};
}

/** Returns a change of settings for the log, without any path or anything that may be secret. */
function settingTold([group = "", ...rest]: readonly string[], value: SettingEdit["value"]) {
	const name = group === "sets" ? group : [group, ...rest].join(".");
	const text = [value ?? []].flat().join(",") || "none";
	return { name, value: name === "notify.command" && text !== "none" ? "set" : text };
}
