import { expect } from "vitest";
import type { Account, Credential } from "../../src/core/account.ts";
import type { ToolName } from "../../src/core/account-source.ts";
import { createMembership } from "../../src/core/credentials/membership.ts";
import type { LoggedDecision } from "../../src/core/decision.ts";
import type { Forecast } from "../../src/core/forecast/forecast.ts";
import type { AccountId } from "../../src/core/ids.ts";
import type { LedgerRow } from "../../src/core/ledger/ledger.ts";
import type { Redemption, SettingEdit, SettingsStore } from "../../src/core/ports.ts";
import type { ResetCredit } from "../../src/core/reset-credits/reset-credits.ts";
import type { StoredValue } from "../../src/core/settings.ts";
import type { UsageSnapshot } from "../../src/core/usage.ts";
import { createForToday } from "../../src/features/beyond/for-today.ts";
import { createImports } from "../../src/features/import/imports.ts";
import type { Finding } from "../../src/features/import/rules.ts";
import { createCommands } from "../../src/features/index.ts";
import type { Delivery } from "../../src/features/notify/outside.ts";
import type { DeviceDialog, LoginDialog } from "../../src/features/sign-in/ports.ts";
import type { DiskFacts, EndpointFact, Repair } from "../../src/features/verify/rules.ts";
import type { CommandList } from "../../src/pi/command.ts";
import { completionsFor } from "../../src/pi/completions.ts";
import { createPoolModel } from "../../src/pi/pool-model.ts";
import { registerCommand } from "../../src/pi/router.ts";
import { fingerprint, identityOf, tokenTimes } from "../../src/platform/backend/jwt.ts";
import { defaultLabel } from "../../src/platform/stores/account-file.ts";
import {
	BEYOND_PREFERENCES,
	chainIn,
	commandIn,
	FOOTER_PREFERENCES,
	GENERAL_PREFERENCES,
	NOTIFY_PREFERENCES,
	ROTATION_PREFERENCES,
} from "../../src/platform/stores/settings-schema.ts";
import { createFakeSharedPools, type FakeSharedPools } from "../support/fake-shared-pools.ts";
import { aPiAuth, aTokenOf, DAY_MS, type FakePiAuth, idFor, NOW } from "../support/fakes.ts";
import { aContext, aPi, type FakeCommand, type FakeContext, type FakeContextInit, type FakePi } from "./fake-pi.ts";
import { createHarness, type Harness } from "./harness.ts";
// A command loads it when one is given. Loaded already, it comes without a macrotask, as in a pi after the first one.
import "../../src/pi/typed-command.ts";

/** `/multicodex` over a pool in memory, with a person who signs in as the test says. */
export interface CommandHarness {
	readonly harness: Harness;
	readonly pi: FakePi;
	readonly command: FakeCommand;
	readonly commands: CommandList;
	screen: FakeContext;
	readonly piAuth: FakePiAuth;
	/** How often pi's login was looked at, and the backups were deleted. */
	syncs: number;
	removals: number;
	/** pi holds a key of its own. */
	isForeign: boolean;
	/** Dialogs of sign-ins, in order. */
	readonly browserDialogs: LoginDialog[];
	readonly deviceDialogs: DeviceDialog[];
	/** Addresses that a browser was opened with, and whether it opened. */
	readonly opened: string[];
	browserOpens: () => Promise<boolean>;
	/** The model that the person has saved as the default. */
	savedModel: string | undefined;
	/** Plays a sign-in, in a browser or on a device; without one no sign-in is possible. */
	inBrowser: (dialog: LoginDialog) => Promise<Credential>;
	onDevice: (dialog: DeviceDialog) => Promise<Credential>;
	/** What other tools keep, and what lies at paths. */
	found: Finding[];
	readonly paths: Map<string, Finding[]>;
	/** What was asked of the finder. */
	readonly searched: (ToolName | string | undefined)[];
	/** What asking for an account's usage comes to; nothing without one. */
	readonly usage: Map<string, () => UsageSnapshot | string>;
	readonly askedUsage: string[];
	/** How long an answer of the usage endpoint takes. */
	askUsage: () => Promise<void>;
	/** What asking for the reset credits of an account finds; no answer without one. */
	readonly credits: Map<string, readonly ResetCredit[]>;
	readonly askedLists: string[];
	/** How often all lists that are due were asked for. */
	listLooks: number;
	/** Accounts and credits that were redeemed, and how that ends. */
	readonly redeemed: [string, string][];
	redeem: () => Promise<Redemption>;
	/** The pool that this machine shares with others. */
	readonly sharedPools: FakeSharedPools;
	/** What the log holds. */
	decisions: LoggedDecision[];
	/** How long quota lasts. */
	forecast: Forecast | undefined;
	/** How often the log was read, and who hears of what is written to it. */
	logReads: number;
	readonly logListeners: Set<() => void>;
	/** What the ledger holds; undefined where there is none. And who hears of what is written to it. */
	ledger: readonly LedgerRow[] | undefined;
	readonly ledgerListeners: Set<() => void>;
	/** What asking for usage that has outlived its time comes to. */
	refreshStale: () => Promise<void>;
	/** Preferences that were stored, write by write. */
	readonly stored: Readonly<Record<string, StoredValue>>[];
	/** What was stored of caps and sets, edit by edit. */
	readonly edited: SettingEdit[];
	/** What lies in the agent directory beside the accounts, what would be mended there, and who answers. */
	disk: Omit<DiskFacts, "accounts">;
	repairs: readonly Repair[];
	endpoints: readonly EndpointFact[];
	/** What was asked of the health check, in order. */
	readonly looks: string[];
	/** How often a notice was sent to try it, and what becomes of one. */
	triedNotices: number;
	delivery: Delivery;
	/** What storing them throws, if anything. */
	settingsRefusal: Error | undefined;
	/**
	 * Gives a command; the last of the `notices` things that are said, one unless told otherwise, as `<level>: <text>`.
	 */
	run(args: string, notices?: number): Promise<string>;
	/** The same without a user at the screen: what is written to standard error, and the exit code. */
	runUnseen(args: string): Promise<{ readonly said: string; readonly code: unknown }>;
	/** Values that are offered while `typed` stands in the editor, without the choice to add nothing. */
	offered(typed: string): string[] | null;
}

/** Creates it with these accounts, in a terminal unless told otherwise. */
export function createCommandHarness(
	rows: readonly Account[] = [],
	init: FakeContextInit = { mode: "tui" },
	{ hasVirtualModels = false } = {},
): CommandHarness {
	const harness = createHarness(...rows);
	const { accounts, state, pool, clock } = harness;
	const pi = aPi({ hasVirtualModels });
	const piAuth = aPiAuth();
	const tokens = {
		fingerprint,
		identify: identityOf,
		issuedAt: (access: string) => tokenTimes(access).issuedAt,
	};
	const membership = createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor: defaultLabel });
	const finder = {
		tools: ["pi", "codex", "prodex"] as const,
		find: async (tool: ToolName | undefined) => {
			cli.searched.push(tool);
			return cli.found.filter((finding) => tool === undefined || finding.tool === tool);
		},
		read: async (path: string) => {
			cli.searched.push(path);
			return cli.paths.get(path);
		},
	};
	const noSignIn = () => Promise.reject(new Error("this test has no sign-in"));
	const settings: SettingsStore = {
		read: () => harness.settings,
		set: async (values) => {
			if (cli.settingsRefusal) throw cli.settingsRefusal;
			cli.stored.push(values);
			let { settings } = harness;
			let { rotation, beyond, footer, notify } = settings;
			for (const { key, read } of GENERAL_PREFERENCES) settings = read(values[key], settings) ?? settings;
			for (const { key, read } of ROTATION_PREFERENCES) {
				rotation = read(values[`rotation.${key}`], rotation) ?? rotation;
			}
			for (const { key, read } of BEYOND_PREFERENCES) beyond = read(values[`beyond.${key}`], beyond) ?? beyond;
			for (const { key, read } of FOOTER_PREFERENCES) footer = read(values[`footer.${key}`], footer) ?? footer;
			for (const { key, read } of NOTIFY_PREFERENCES) notify = read(values[`notify.${key}`], notify) ?? notify;
			notify = { ...notify, command: commandIn(values["notify.command"]) ?? notify.command };
			harness.settings = { ...settings, rotation, beyond, footer, notify };
		},
		changeChain: async (change) => {
			if (cli.settingsRefusal) throw cli.settingsRefusal;
			const { settings } = harness;
			const chain = change(settings.beyond.chain);
			if (chain === undefined) return;
			cli.stored.push({ "beyond.chain": chain });
			harness.settings = { ...settings, beyond: { ...settings.beyond, chain: chainIn(chain).chain } };
		},
		change: async (edits) => {
			if (cli.settingsRefusal) throw cli.settingsRefusal;
			cli.edited.push(...edits);
			const caps: Record<string, Record<string, number>> = structuredClone({ ...harness.settings.caps });
			const sets = { ...harness.settings.sets };
			for (const { path, value } of edits) {
				const [group, key, window] = path;
				if (key === undefined) {
					for (const id of Object.keys(caps)) delete caps[id];
					continue;
				}
				if (group === "sets" && Array.isArray(value)) sets[key] = value;
				else if (group === "sets") delete sets[key];
				else if (window === undefined) delete caps[key];
				else if (typeof value === "number") caps[key] = { ...caps[key], [window]: value };
				else delete caps[key]?.[window];
			}
			for (const [id, floors] of Object.entries(caps)) if (Object.keys(floors).length === 0) delete caps[id];
			harness.settings = { ...harness.settings, caps, sets };
		},
	};
	const link = {
		...harness.deps.link,
		isForeign: () => cli.isForeign,
		sync: async () => {
			cli.syncs += 1;
		},
	};
	const poolModel = createPoolModel(pi.api, {
		pool,
		affinity: harness.affinity,
		link,
		settings: settings.read,
		savedModel: () => cli.savedModel,
		loginMark: piAuth.loginMark,
		recheckCooling: () => undefined,
		beyond: { mayAsk: () => false, offers: () => [] },
		lookUp: async () => false,
		isRepeatedByHost: () => false,
		clock,
	});
	const sharedPools = createFakeSharedPools({
		list: accounts.list,
		replace: (rows) => {
			accounts.rows = [...rows];
		},
	});
	let asking = 0;
	const commands = createCommands({
		pool,
		affinity: harness.affinity,
		sharedPools,
		forecasts: {
			current: () => cli.forecast,
			fresh: async () => cli.forecast,
			renew: async () => cli.forecast,
			subscribe: () => () => undefined,
		},
		eventLog: {
			append: () => undefined,
			read: async (count) => {
				cli.logReads += 1;
				return cli.decisions.slice(-count);
			},
			flush: async () => undefined,
		},
		followLog: (listener) => {
			cli.logListeners.add(listener);
			return () => cli.logListeners.delete(listener);
		},
		ledger: {
			read: async () => cli.ledger ?? [],
			forget: async () => {
				const isThere = cli.ledger !== undefined;
				cli.ledger = undefined;
				return isThere;
			},
			follow: (listener) => {
				cli.ledgerListeners.add(listener);
				return () => cli.ledgerListeners.delete(listener);
			},
		},
		membership,
		credentials: harness.deps.credentials,
		usage: {
			setBaseUrl: () => undefined,
			baseUrl: () => undefined,
			refreshStale: async () => {
				asking += 1;
				await cli.refreshStale();
				asking -= 1;
			},
			figuresDue: () => undefined,
			isAsking: (id) => id === undefined && asking > 0,
			follow: async () => undefined,
			recheckCooling: async () => undefined,
			stop: () => undefined,
			ask: async (id) => {
				cli.askedUsage.push(id);
				await cli.askUsage();
				const told = cli.usage.get(id)?.();
				if (typeof told === "string") pool.noteError(id, told);
				else if (told) pool.noteUsage(id, told);
				return typeof told === "object";
			},
		},
		resetCredits: {
			refreshStale: async () => {
				cli.listLooks += 1;
			},
			ask: async (id) => {
				cli.askedLists.push(id);
				const credits = cli.credits.get(id);
				const listed = credits && { askedAt: clock.now(), listedAt: clock.now(), credits };
				if (listed) await state.update(id, (status) => ({ ...status, resetCredits: listed }));
				return credits !== undefined;
			},
		},
		redeemer: {
			redeem: async (account, credit) => {
				cli.redeemed.push([account.id, credit.id]);
				return cli.redeem();
			},
		},
		imports: createImports({ finder, accounts, state, membership, tokens, clock }),
		link,
		signInWays: {
			inBrowser: (dialog) => {
				cli.browserDialogs.push(dialog);
				return cli.inBrowser(dialog);
			},
			onDevice: (dialog) => {
				cli.deviceDialogs.push(dialog);
				return cli.onDevice(dialog);
			},
			openBrowser: async (url) => {
				cli.opened.push(url);
				return cli.browserOpens();
			},
		},
		clock,
		settings,
		offersFor: harness.deps.beyond.offers,
		forToday: createForToday(state, clock),
		isFromSource: false,
		health: {
			look: async () => {
				cli.looks.push("look");
				return { ...cli.disk, accounts: accounts.list() };
			},
			repair: async () => {
				cli.looks.push("repair");
				return cli.repairs;
			},
			reach: async (baseUrl) => {
				cli.looks.push(`reach ${baseUrl}`);
				return cli.endpoints;
			},
		},
		loadNotices: async () => ({
			tryOut: async () => {
				cli.triedNotices += 1;
				return cli.delivery;
			},
		}),
		screen: { isOurs: () => cli.screen.ctx.hasUI, env: { TERM: "xterm-kitty" } },
		paths: { accounts: "/x/codex-accounts.json", state: "/x/codex-state.json" },
		poolFile: "/x/codex-pool.json",
		hasPiLogin: () => piAuth.login.kind !== "none",
		savedModel: () => cli.savedModel,
		poolModel,
		removeBackups: async () => {
			cli.removals += 1;
			return 2;
		},
		setModel: (model) => pi.api.setModel(model),
	});
	registerCommand(pi.api, { loadCommands: async () => commands, link, pool, settings });
	const command = pi.commands.get("multicodex");
	if (!command) throw new Error("no command");
	const cli: CommandHarness = {
		harness,
		pi,
		command,
		commands,
		screen: aContext(init),
		piAuth,
		syncs: 0,
		removals: 0,
		isForeign: false,
		browserDialogs: [],
		deviceDialogs: [],
		opened: [],
		browserOpens: async () => true,
		savedModel: undefined,
		inBrowser: noSignIn,
		onDevice: noSignIn,
		found: [],
		paths: new Map(),
		searched: [],
		usage: new Map(),
		askedUsage: [],
		askUsage: async () => undefined,
		credits: new Map(),
		askedLists: [],
		listLooks: 0,
		redeemed: [],
		redeem: async () => ({ kind: "redeemed" }),
		sharedPools,
		decisions: [],
		forecast: undefined,
		logReads: 0,
		logListeners: new Set(),
		ledger: undefined,
		ledgerListeners: new Set(),
		refreshStale: async () => undefined,
		stored: [],
		edited: [],
		disk: {
			files: [],
			entries: [],
			locks: [],
			isWritable: true,
			piLogin: { kind: "none", owner: undefined, refresh: undefined },
			settings: [],
		},
		repairs: [],
		endpoints: [{ name: "backend", refusal: undefined, status: 401, isChallenge: false, skewMs: 0 }],
		looks: [],
		triedNotices: 0,
		delivery: { kind: "sent" },
		settingsRefusal: undefined,
		runUnseen: async (args) => {
			const write = process.stderr.write;
			const before = process.exitCode;
			let said = "";
			process.stderr.write = (text: string | Uint8Array) => {
				said += String(text);
				return true;
			};
			try {
				await cli.command.handler(args, cli.screen.ctx);
				return { said, code: process.exitCode };
			} finally {
				process.stderr.write = write;
				process.exitCode = before;
			}
		},
		run: async (args, notices = 1) => {
			cli.screen.notices.length = 0;
			await command.handler(args, cli.screen.ctx);
			expect(cli.screen.notices).toHaveLength(notices);
			return cli.screen.notices.at(-1) ?? "";
		},
		offered: (typed) => completionsFor(typed, commands)?.flatMap(({ value }) => (value === typed ? [] : value)) ?? null,
	};
	return cli;
}

/** The id of the account whose token is {@link aTokenOf} that name. */
export function idOf(name: string): AccountId {
	return idFor(`user-${name}__acct-${name}`, `acct-${name}`);
}

/** The result of a sign-in. */
export function aGrant(name: string, issuedAt = NOW): Credential {
	return {
		access: aTokenOf(name, { issuedAt }),
		refresh: `granted-${name}-${issuedAt - NOW}`,
		expiresAt: issuedAt + 10 * DAY_MS,
	};
}
