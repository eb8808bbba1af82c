import { setTimeout } from "node:timers/promises";
import { type ExtensionAPI, getAgentDir } from "@mariozechner/pi-coding-agent";
import { createWarnings, keepLedger, logDecisions, notifyOutside, warnBeforeEmpty } from "./compose/events.ts";
import { createSignIn, footerOfSession, provideFromPool } from "./compose/host.ts";
import { createPoolParts, createSessionParts } from "./compose/pool.ts";
import { createEndpoints, createSharing, openFiles } from "./compose/stores.ts";
import { createPoolEvents } from "./core/events.ts";
import { publishEvents } from "./features/explain/event-bus.ts";
import { noticeOf } from "./features/notices/texts.ts";
import { registerSessionHooks } from "./pi/lifecycle.ts";
import { modeOf } from "./pi/output.ts";
import { isOnPlanLogin } from "./pi/plan-login.ts";
import { registerCommand } from "./pi/router.ts";
import { once } from "./platform/lazily.ts";

/**
 * Builds everything, from top to bottom: files, pool, pi. Resolves once the accounts of a shared pool are available,
 * from memory or disk; undefined if there is no shared pool.
 */
export function compose(pi: ExtensionAPI): Promise<void> | undefined {
	const clock = { now: () => Date.now() };
	const pause = (ms: number, signal?: AbortSignal) => setTimeout(ms, undefined, { signal });
	const events = createPoolEvents();
	const { emit } = events;
	const warnings = createWarnings(emit);

	// Files and endpoints.
	const endpoints = createEndpoints(clock);
	if (endpoints.refusal !== undefined) warnings.add(endpoints.refusal);
	const files = openFiles(getAgentDir(), clock, warnings.add, emit);
	const { eventLog, piAuth } = files;
	const sharing = createSharing({
		files,
		endpoints,
		// Called once a shared pool is open, and tokens are renewed with its accounts.
		renewAhead: (id) => parts.credentials.renewAhead(id),
		clock,
		pause,
		emit,
	});
	const { accounts, state, settings } = sharing;

	// The pool of accounts, and what a session needs of it.
	const parts = createPoolParts({ files, endpoints, sharing, events, clock, pause });
	const { pool, folders, history, link, credentials, usage } = parts;
	const session = createSessionParts(pi, { files, sharing, parts, clock });
	const { affinity, poolModel, forecasts, beyond } = session;

	// What follows events.
	const outside = notifyOutside({ pool, state, settings, clock });
	const poolWarnings = warnBeforeEmpty({ pool, accounts, forecasts, state, settings, clock });
	pi.on("session_start", (_event, ctx) => {
		const mode = modeOf(ctx);
		outside.begin(mode === "tui");
		sharing.begin(mode === "tui" || mode === "rpc");
		poolWarnings.begin(ctx.hasUI);
	});
	pi.on("session_shutdown", outside.end);
	const ledger = keepLedger({ path: files.paths.ledger, folders, settings, events, clock });
	logDecisions(events, eventLog, clock);

	// pi.
	const signIn = createSignIn({ files, endpoints, sharing, parts, clock, pause });
	const { oauth } = signIn;
	const provider = provideFromPool(pi, { files, sharing, parts, session, oauth, record: ledger.record, clock, pause });
	const footer = footerOfSession({ files, sharing, parts, session, provider });
	const isFromSource = new URL(import.meta.url).pathname.endsWith(".ts");
	const loadCommands = once(async () => {
		const { createCommandList } = await import("./compose/commands.ts");
		const built = { files, endpoints, sharing, parts, session, signIn, ledger, outside };
		return createCommandList(pi, { ...built, clock, isFromSource });
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
		takeStray: signIn.takeStray,
		logins: signIn.news,
		noticeOf,
		welcome: signIn.welcome,
		isOnPlanLogin: (model) => isOnPlanLogin(model, piAuth.hasPlanLogin),
		beginTurn: beyond.beginTurn,
		settings: settings.read,
		opened: sharing.settling,
		writers: [pool, eventLog, history, ledger],
		clock,
		earlyWarnings: warnings.early,
		reminder: endpoints.reminder,
	});
	// After the end of the session, which may still write to it.
	pi.on("session_shutdown", () => sharing.current()?.rest());
	publishEvents(pi, pool);
	warnings.becomeEvents();
	return sharing.settling()?.then(provider.keepAvailability);
}
