import { randomUUID } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { debuglog } from "node:util";
import { type ExtensionAPI, getAgentDir } from "@mariozechner/pi-coding-agent";
import type { Credential } from "./core/account.ts";
import { createBeyond } from "./core/beyond/beyond.ts";
import { createCredentials } from "./core/credentials/credentials.ts";
import { createHandout } from "./core/credentials/handout.ts";
import { createMembership } from "./core/credentials/membership.ts";
import { createPiLoginSync, type PiLoginSync } from "./core/credentials/pi-login-sync.ts";
import { decisionOf } from "./core/decision.ts";
import { createDefectNews, tellDefect } from "./core/defect-reports.ts";
import type { EventType, PoolEvent } from "./core/events.ts";
import { createForecastSource } from "./core/forecast/forecast-source.ts";
import { createQuotaRecorder } from "./core/forecast/quota-recorder.ts";
import { createLateLedger } from "./core/ledger/late-ledger.ts";
import type { Ledger } from "./core/ledger/ledger.ts";
import { createPool, type Pool } from "./core/pool/pool.ts";
import { createUsageMonitor } from "./core/pool/usage-monitor.ts";
import type { SettingEdit, SettingsStore, TokenReader } from "./core/ports.ts";
import { hideEmails } from "./core/privacy.ts";
import { createAffinity } from "./core/request/affinity.ts";
import { createSessionSockets } from "./core/request/session-sockets.ts";
import { poolIsEmpty, poolNotReached } from "./core/request/turn-texts.ts";
import { createLateResets } from "./core/reset-credits/late-resets.ts";
import { createForToday } from "./features/beyond/for-today.ts";
import { createDryQuestion } from "./features/beyond/question.ts";
import { publishEvents } from "./features/explain/event-bus.ts";
import { createFooter } from "./features/footer/footer.ts";
import { noticeOf } from "./features/notices/texts.ts";
import type { OutsideDeps, OutsideNotices, Screen } from "./features/notify/outside.ts";
import { createOAuthHooks } from "./features/sign-in/login-hooks.ts";
import { createLoginNews } from "./features/sign-in/login-news.ts";
import type { SignInWays } from "./features/sign-in/ports.ts";
import { createStraySignIns } from "./features/sign-in/stray-sign-in.ts";
import { unusualIssuer } from "./features/sign-in/texts.ts";
import { createWelcome } from "./features/welcome/welcome.ts";
import { delegate } from "./pi/delegate.ts";
import { registerSessionHooks } from "./pi/lifecycle.ts";
import { createModelLookup } from "./pi/models.ts";
import { modeOf } from "./pi/output.ts";
import { isOnPlanLogin } from "./pi/plan-login.ts";
import { createPoolModel, type PoolModel } from "./pi/pool-model.ts";
import { isRepeatedByHost, registerProvider } from "./pi/provider.ts";
import { registerCommand } from "./pi/router.ts";
import { fingerprint, identityOf, tokenTimes } from "./platform/backend/jwt.ts";
import { createOAuthClient, DEFAULT_ISSUER } from "./platform/backend/openai-oauth.ts";
import { readRefusal } from "./platform/backend/read-body.ts";
import { refusalToSendTokens, unusualHost } from "./platform/backend/token-url.ts";
import { createUsageApi, usageFromHeaders } from "./platform/backend/usage-api.ts";
import { followFiles } from "./platform/files/file-watch.ts";
import { openInGivenFolder, openSharedDocument } from "./platform/files/shared-document.ts";
import { createProcesses } from "./platform/processes.ts";
import { createPoolSwitch } from "./platform/shared-pool/pool-switch.ts";
import { defaultLabel } from "./platform/stores/account-file.ts";
import { openAccountStore } from "./platform/stores/account-store.ts";
import { accountsPlaceOf, adoptState } from "./platform/stores/agent-directory.ts";
import { openEventLog } from "./platform/stores/event-log.ts";
import { openPiAuth } from "./platform/stores/pi-auth.ts";
import { createSessionFolders, repositoryOf } from "./platform/stores/session-folders.ts";
import { openSettings, savedCodexModelIn } from "./platform/stores/settings-store.ts";
import { openStateStore } from "./platform/stores/state-store.ts";

/** Prints defects with their whole stack to standard error if `NODE_DEBUG` names us. */
const debug = debuglog("multicodex");

/**
 * Builds everything, from top to bottom: files, pool, pi. Resolves once the accounts of a shared pool are available,
 * from memory or disk; undefined if there is no shared pool.
 */
export function compose(pi: ExtensionAPI): Promise<void> | undefined {
	const clock = { now: () => Date.now() };
	const pause = (ms: number, signal?: AbortSignal) => setTimeout(ms, undefined, { signal });
	const directory = getAgentDir();
	const place = accountsPlaceOf(directory);
	adoptState(directory, place);
	const paths = {
		accounts: join(directory, "codex-accounts.json"),
		state: place.state,
		log: join(directory, "codex-events.jsonl"),
		history: join(directory, "codex-history.jsonl"),
		ledger: join(directory, "codex-ledger.jsonl"),
		settings: join(directory, "settings.json"),
		"pi's login": join(directory, "auth.json"),
	};
	const poolFile = join(directory, "codex-pool.json");
	const issuer = process.env.PI_MULTICODEX_AUTH_URL || DEFAULT_ISSUER;
	const issuerRefusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	const earlyWarnings = issuerRefusal === undefined ? [] : [issuerRefusal];
	const issuerHost = issuerRefusal === undefined ? unusualHost(issuer, DEFAULT_ISSUER) : undefined;
	let warn = (text: string) => {
		earlyWarnings.push(text);
	};

	// Files and endpoints.
	const ownAccounts = openAccountStore(
		paths.accounts,
		(text) => warn(text),
		clock.now,
		(into, former) => {
			void ownState.inherit(into, former);
			pool.emit({ type: "membership", change: "merged", account: into, former });
		},
		(error) => tellDefect(error, "accounts", pool.emit),
	);
	const openState = place.isElsewhere ? openInGivenFolder : openSharedDocument;
	const ownState = openStateStore(paths.state, (text) => warn(text), clock.now, openState);
	const storedSettings = openSettings(paths.settings, (text) => warn(text));
	const eventLog = openEventLog(paths.log, clock.now, process.pid);
	const piAuth = openPiAuth(paths["pi's login"]);
	const oauth = createOAuthClient(issuer, clock.now);
	const usageApi = createUsageApi(clock.now);
	const tokens: TokenReader = {
		issuedAt: (access) => tokenTimes(access).issuedAt,
		fingerprint,
		identify: identityOf,
	};

	// A shared pool. Nothing of it is loaded if this machine has joined none.
	const joinCode = process.env.PI_MULTICODEX_POOL || undefined;
	const loadPoolHome = once(async () => {
		const { createPoolHome } = await import("./platform/shared-pool/pool-home.ts");
		return createPoolHome({
			environment: joinCode,
			settings: storedSettings,
			current: sharing.current,
			reopen: () => sharing.reopen(storedSettings.read().pool),
			folder: directory,
			local: { accounts: ownAccounts, state: ownState },
			oauth,
			tokens,
			clock,
			monotonic: () => performance.now(),
			pause,
			labelFor: defaultLabel,
			tell: pool.emit,
			renewAhead: (id) => credentials.renewAhead(id),
			onFailure: (error) => tellDefect(error, "shared pool", pool.emit),
		});
	});
	/** True if the session keeps running; undefined before it starts. */
	let stays: boolean | undefined;
	const sharing = createPoolSwitch({
		accounts: ownAccounts,
		state: ownState,
		code: joinCode,
		open: async (name) => {
			const opened = await (await loadPoolHome()).open(name);
			if (stays !== undefined) opened?.begin(stays);
			return opened;
		},
		onChanged: () => pool.emit({ type: "changed" }),
		onFailure: (error) => tellDefect(error, "shared pool", pool.emit),
	});
	const { accounts, state } = sharing;
	const settings: SettingsStore = {
		...storedSettings,
		read: () => {
			const read = storedSettings.read();
			sharing.follow(read.pool);
			return read;
		},
	};

	// The pool of accounts, and what a request needs of it.
	const folders = createSessionFolders({ sets: () => settings.read().sets, processFolder: () => process.cwd() });
	const history = createQuotaRecorder({
		load: once(async () => {
			const { openQuotaHistory } = await import("./platform/stores/quota-history-store.ts");
			return openQuotaHistory(paths.history, clock.now);
		}),
		now: clock.now,
		onFailure: (error) => tellDefect(error, "quota history", pool.emit),
	});
	const pool: Pool = createPool({
		accounts,
		state,
		clock,
		settings: settings.read,
		sets: folders,
		history,
	});
	const link = createPiLoginSync({
		accounts,
		state,
		piAuth,
		tokens,
		clock,
		labelFor: defaultLabel,
		tell: pool.emit,
		onFailure: (error) => tellDefect(error, "pi login", pool.emit),
	});
	const membership = createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor: defaultLabel });
	const processes = createProcesses(clock.now);
	const credentials = createCredentials({
		accounts,
		state,
		piAuth,
		oauth,
		tokens,
		processes,
		clock,
		pause,
		labelFor: defaultLabel,
		tell: pool.emit,
		onFailure: (error) => tellDefect(error, "renewal", pool.emit),
		shared: () => sharing.current()?.tokens,
	});
	const isEnabled = () => settings.read().enabled;
	const usage = createUsageMonitor({
		pool,
		state,
		credentials,
		usageApi,
		clock,
		isEnabled,
		mayUseReserveModel: () => settings.read().beyond.reserveModel !== "never",
	});
	const loadResets = once(async () => {
		const { createRedeemer } = await import("./core/reset-credits/redeemer.ts");
		const { createResetCreditList } = await import("./core/reset-credits/reset-credit-list.ts");
		const { createResetCreditsApi } = await import("./platform/backend/reset-credits-api.ts");
		const api = createResetCreditsApi(clock.now);
		const parts = { pool, state, credentials, api, baseUrl: usage.baseUrl, clock };
		const redeemer = createRedeemer({ ...parts, usageApi, processes, pause, newKey: randomUUID });
		return { list: createResetCreditList(parts), redeemer };
	});
	const { list: resetCredits, redeemer } = createLateResets({ pool, load: loadResets, clock });
	const loginNews = createLoginNews({ membership, pool, usage, clock });
	const affinity = createAffinity(clock);
	const modelNamed = createModelLookup(pi);
	const savedModel = () => savedCodexModelIn(paths.settings);
	const poolModel: PoolModel = createPoolModel(pi, {
		pool,
		affinity,
		link,
		settings: settings.read,
		savedModel,
		loginMark: piAuth.loginMark,
		recheckCooling: () => void usage.recheckCooling(),
		beyond: { mayAsk: (...asked) => beyond.mayAsk(...asked), offers: (...asked) => beyond.offers(...asked) },
		lookUp: (plan, baseUrl, signal) => {
			// No request of this process has set the base URL yet.
			usage.setBaseUrl(baseUrl);
			return beyond.lookUp(plan, signal);
		},
		isRepeatedByHost,
		clock,
	});
	const forecasts = createForecastSource({
		pool,
		history,
		load: once(async () => await import("./core/forecast/forecast.ts")),
		giveWay: () => setImmediate(),
		asked: () => ({
			modelId: undefined,
			patienceMs: settings.read().rotation.maxWaitMs,
			sessionId: affinity.session(),
			serving: affinity.account() ?? affinity.lastServed(),
		}),
		clock,
		onFailure: (error) => tellDefect(error, "forecast", pool.emit),
	});
	const forToday = createForToday(state, clock);
	const beyond = createBeyond({
		pool,
		settings: settings.read,
		modelNamed,
		askUsage: usage.ask,
		question: createDryQuestion(pi, { pool, forToday, isMasked: () => settings.read().maskEmails, forecasts, clock }),
		consents: forToday,
		resets: { ...redeemer, refreshStale: resetCredits.refreshStale },
		chain: poolModel,
	});
	// Notices outside the chat. Loaded with the first event that may need one, if the person wants them.
	let isOnScreen = false;
	const screen: Screen = {
		isOurs: () => isOnScreen && process.stdout.isTTY === true && process.env.TERM !== "dumb",
		write: (bytes) => void process.stdout.write(bytes),
		env: process.env,
	};
	let notices: Promise<OutsideNotices> | undefined;
	const loadNotices = once(() => {
		notices = loadOutsideNotices({ pool, state, settings: settings.read, screen, clock });
		return notices;
	});
	pool.subscribe((event) => {
		if (!NOTIFIED.has(event.type) || settings.read().notify.to === "off") return;
		loadNotices().then(
			({ hear }) => hear(event),
			(error: unknown) => tellDefect(error, "notice", pool.emit),
		);
	});
	// Runs after each answer, if a person can see warnings and has more than one account.
	const loadPoolWarnings = once(async () => {
		const { createPoolWarnings } = await import("./core/forecast/pool-warnings.ts");
		return createPoolWarnings({ pool, forecasts, state, settings: settings.read, clock });
	});
	let hasReader = false;
	pool.subscribe(({ type }) => {
		if (type !== "served" || !hasReader || accounts.list().length < 2) return;
		loadPoolWarnings()
			.then(({ look }) => look())
			.catch((error: unknown) => tellDefect(error, "forecast", pool.emit));
	});
	pi.on("session_start", (_event, ctx) => {
		const mode = modeOf(ctx);
		isOnScreen = mode === "tui";
		stays = mode === "tui" || mode === "rpc";
		sharing.current()?.begin(stays);
		hasReader = ctx.hasUI;
	});
	pi.on("session_shutdown", async () => (await notices?.catch(() => undefined))?.end());
	const loadLedger = once(async () => {
		const { openLedgerStore } = await import("./platform/stores/ledger-store.ts");
		const onFailure = (error: unknown) => tellDefect(error, "ledger", pool.emit);
		return openLedgerStore({ path: paths.ledger, now: clock.now, projectOf: repositoryOf, onFailure });
	});
	const ledger = createLateLedger({
		isOn: () => settings.read().ledger,
		folderOf: folders.folderOf,
		load: loadLedger,
		onFailure: (error) => tellDefect(error, "ledger", pool.emit),
		now: clock.now,
	});
	pool.subscribe((event) => {
		if (event.type === "rotated") ledger.record({ kind: "rotated", account: event.from.id, asked: event.asked });
	});
	const isNews = createDefectNews(clock.now);
	pool.subscribe((event) => {
		if (event.type === "defect") {
			debug("%s (%s)\n  %s", event.trace.error, event.where, event.trace.stack.join("\n  "));
			if (!isNews(event)) return;
		}
		const decision = decisionOf(event);
		if (decision) eventLog.append(decision);
	});

	// Commands and what only they need. Loaded with the first command, since every start of pi would pay for them.
	const loadImports = once(async () => {
		const { createImports } = await import("./features/import/imports.ts");
		const { createImportFinder } = await import("./features/import/tools/finder.ts");
		const finder = createImportFinder({ home: homedir(), env: process.env }, paths["pi's login"]);
		return createImports({ finder, accounts, state, membership, tokens, clock });
	});
	const findSignIns = async () => {
		const { takeableSignIns } = await import("./features/import/rules.ts");
		const imports = await loadImports();
		return takeableSignIns(await imports.lookIn(undefined));
	};
	// Log every preference that a person changes, by whatever command.
	const setAndTell: SettingsStore["set"] = async (values) => {
		await settings.set(values);
		for (const [name, value] of Object.entries(values)) {
			pool.emit({ type: "setting", ...settingTold([name], value) });
		}
	};
	const changeAndTell: SettingsStore["change"] = async (edits) => {
		await settings.change(edits);
		for (const { path, value } of edits) pool.emit({ type: "setting", ...settingTold(path, value) });
	};
	const changeChainAndTell: SettingsStore["changeChain"] = async (change) => {
		await settings.changeChain(change);
		pool.emit({ type: "setting", ...settingTold(["beyond", "chain"], settings.read().beyond.chain) });
	};
	const removeBackupsAndTell = async () => {
		const total = await ownAccounts.removeBackups();
		if (total > 0) pool.emit({ type: "backups-deleted", total });
		return total;
	};
	const readableLedger = async (): Promise<Ledger> => {
		const store = await loadLedger();
		// Include entries that are not written yet.
		const read = async () => {
			await ledger.flush();
			return store.read();
		};
		return { ...store, read };
	};
	const loadCommands = once(async () => {
		const { createCommands } = await import("./features/index.ts");
		const { openHealth } = await import("./features/verify/disk.ts");
		const { createLatePools } = await import("./platform/shared-pool/late-pools.ts");
		return createCommands({
			pool,
			affinity,
			eventLog,
			followLog: (listener) => followFiles([paths.log], listener),
			ledger: await readableLedger(),
			membership,
			credentials,
			usage,
			resetCredits,
			redeemer,
			imports: await loadImports(),
			link,
			signInWays,
			clock,
			forecasts,
			offersFor: beyond.offers,
			forToday,
			health: openHealth(directory, issuer, clock.now),
			sharedPools: createLatePools(sharing.current, async () => (await loadPoolHome()).pools),
			loadNotices,
			screen,
			isFromSource: new URL(import.meta.url).pathname.endsWith(".ts"),
			paths,
			poolFile,
			settings: { ...settings, set: setAndTell, change: changeAndTell, changeChain: changeChainAndTell },
			hasPiLogin: () => ["oauth", "foreign"].includes(piAuth.peek().kind),
			savedModel,
			poolModel,
			setModel: (model) => pi.setModel(model),
			removeBackups: removeBackupsAndTell,
		});
	});

	// pi.
	const strays = createStraySignIns();
	const nameOf = (credential: Credential) => {
		const told = membership.whose(credential);
		const name = told?.account?.label ?? told?.identity.email;
		return name !== undefined && settings.read().maskEmails ? hideEmails(name) : name;
	};
	const signInWays: SignInWays = {
		inBrowser: (dialog) =>
			strays.during(dialog, async (heard) => {
				const { loginInBrowser } = await import("./features/sign-in/browser-login.ts");
				return loginInBrowser(issuer, heard, clock.now, nameOf);
			}),
		onDevice: async (dialog) => {
			const { loginOnDevice } = await import("./features/sign-in/device-login.ts");
			return loginOnDevice(issuer, dialog, clock.now, pause);
		},
		openBrowser: async (url) => {
			const { openInBrowser } = await import("./features/sign-in/open-browser.ts");
			return openInBrowser(url);
		},
	};
	/** While nothing is known of a shared pool, the first request waits for the first look at its database. */
	const linkOnceKnown: PiLoginSync = {
		...link,
		sync: async (signal) => {
			await sharing.current()?.ready(signal);
			await link.sync(signal);
		},
	};
	const provider = registerProvider(pi, {
		isEnabled,
		hasAccount: () =>
			accounts.list().length > 0 || piAuth.peek().kind === "oauth" || sharing.current()?.isAwaited() === true,
		whyNoAccount: () => {
			const shared = sharing.current();
			if (!shared) return undefined;
			return shared.status().connection.kind === "away" ? poolNotReached() : poolIsEmpty();
		},
		keyForOthers: createHandout({ pool, affinity, credentials }),
		refusalToSend: (baseUrl) => refusalToSendTokens(baseUrl, "baseUrl of openai-codex in models.json"),
		onRequest: (baseUrl) => {
			usage.setBaseUrl(baseUrl);
			// Only a session without an account chooses one. Every other session learns about its own from responses. A cap
			// is only as good as the usage that it is compared with.
			const hasCaps = Object.keys(settings.read().caps).length > 0;
			if (affinity.account() === undefined || hasCaps) void usage.refreshStale();
		},
		oauth: createOAuthHooks({
			link,
			ways: signInWays,
			workspaceIdOf: (access) => identityOf(access)?.workspaceId,
			accountOf: (credential) => membership.whose(credential)?.account,
			onSignedIn: (credential, known) => {
				pool.emit({ type: "changed" });
				void loginNews.signedIn(credential, known);
			},
		}),
		failover: {
			pool,
			link: linkOnceKnown,
			credentials,
			affinity,
			sockets: createSessionSockets(delegate.forgetSession),
			delegate,
			backend: { fetch: (input, init) => globalThis.fetch(input, init), readRefusal },
			readUsageHeaders: usageFromHeaders,
			askUsage: usage.ask,
			figuresDue: usage.figuresDue,
			isRepeatedByHost,
			fingerprint,
			settings: settings.read,
			modelNamed,
			recheckCooling: () => void usage.recheckCooling(),
			record: ledger.record,
			beyond,
			clock,
			pause,
			random: Math.random,
		},
	});
	const footer = createFooter({
		pool,
		affinity,
		settings: settings.read,
		isForeign: link.isForeign,
		codexId: poolModel.codexId,
		serving: poolModel.serving,
		sourceOf: beyond.source,
		forecasts,
		sharedPool: () => sharing.current()?.status(),
		onTick: () => {
			if (provider.isOutOfStep()) pool.emit({ type: "changed" });
			pool.detectChanges();
			void usage.recheckCooling();
		},
		followStores: (listener) =>
			followFiles([place.accounts, paths.accounts, paths.state, paths.settings, poolFile], listener),
	});
	// Register before the sessions, so that at their end a pending sign-in is cancelled before anything is awaited.
	registerCommand(pi, { loadCommands, link, pool, settings });
	registerSessionHooks(pi, {
		pool,
		folders,
		link,
		affinity,
		credentials,
		usage,
		footer,
		provider,
		poolModel,
		takeStray: strays.take,
		logins: loginNews,
		noticeOf,
		welcome: createWelcome({
			state,
			findSignIns,
			emit: pool.emit,
			isHomeEmpty: () => accounts.list().length === 0 && piAuth.peek().kind === "none",
		}),
		isOnPlanLogin: (model) => isOnPlanLogin(model, piAuth.hasPlanLogin),
		beginTurn: beyond.beginTurn,
		settings: settings.read,
		opened: sharing.settling,
		writers: [pool, eventLog, history, ledger],
		clock,
		earlyWarnings,
		reminder: issuerHost === undefined ? undefined : unusualIssuer(issuerHost),
	});
	// After the end of the session, which may still write to it.
	pi.on("session_shutdown", () => sharing.current()?.rest());
	publishEvents(pi, pool);
	warn = (text) => pool.emit({ type: "warning", text });
	return sharing.settling()?.then(provider.keepAvailability);
}

/** Returns a change of settings for the log, without any path or anything that may be secret. */
function settingTold([group = "", ...rest]: readonly string[], value: SettingEdit["value"]) {
	const name = group === "sets" ? group : [group, ...rest].join(".");
	const text = [value ?? []].flat().join(",") || "none";
	return { name, value: name === "notify.command" && text !== "none" ? "set" : text };
}

/** Events that a person may be notified of outside the chat. */
const NOTIFIED: ReadonlySet<EventType> = new Set([
	"waiting",
	"asking",
	"exhausted",
	"chain-serves",
	"recovered",
	"signed-out",
	"closed",
	"last-one",
	"pool-low",
]);

async function loadOutsideNotices(deps: Omit<OutsideDeps, "hooks" | "lineOf">): Promise<OutsideNotices> {
	const { createHooks } = await import("./features/notify/hook.ts");
	const { createOutsideNotices } = await import("./features/notify/outside.ts");
	const lineOf = (event: PoolEvent) => noticeOf(event, deps.clock.now())?.text;
	return createOutsideNotices({ ...deps, hooks: createHooks(), lineOf });
}

/** Loads at the first call. After a failure, the next call loads again. */
function once<T>(load: () => Promise<T>): () => Promise<T> {
	let loading: Promise<T> | undefined;
	return () => {
		loading ??= load().catch((error: unknown) => {
			loading = undefined;
			throw error;
		});
		return loading;
	};
}
