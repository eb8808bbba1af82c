import type { Api, Model } from "@mariozechner/pi-ai";
import type { Beyond } from "../core/beyond/beyond.ts";
import type { Credentials } from "../core/credentials/credentials.ts";
import type { Membership } from "../core/credentials/membership.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import type { Ledger } from "../core/ledger/ledger.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { UsageMonitor } from "../core/pool/usage-monitor.ts";
import type { Clock, EventLog, ForecastSource, Redeemer, SettingsStore, SharedPools } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { ResetCreditList } from "../core/reset-credits/reset-credit-list.ts";
import { createAfterSignIn } from "../pi/after-sign-in.ts";
import type { CommandList } from "../pi/command.ts";
import { help } from "../pi/help.ts";
import type { PoolModel } from "../pi/pool-model.ts";
import { createSessionView } from "../pi/session-view.ts";
import { createDisable, createEnable } from "./accounts/enable-disable.ts";
import { createNext } from "./accounts/next.ts";
import { createPath } from "./accounts/path.ts";
import { createRefresh } from "./accounts/refresh.ts";
import { createRemove } from "./accounts/remove.ts";
import { createRename } from "./accounts/rename.ts";
import { createReset } from "./accounts/reset.ts";
import { createShow } from "./accounts/show.ts";
import type { ForToday } from "./beyond/for-today.ts";
import { createChain } from "./chain/command.ts";
import { createDashboardCommand } from "./dashboard/command.ts";
import { createUse } from "./dashboard/use-command.ts";
import { createLog } from "./explain/log-command.ts";
import { createWhy } from "./explain/why-command.ts";
import { createFooterPreview } from "./footer/preview.ts";
import { createImport } from "./import/command.ts";
import type { Imports } from "./import/imports.ts";
import { tried, whatIsSent } from "./notify/describe.ts";
import type { OutsideNotices, Screen } from "./notify/outside.ts";
import { createBeyond } from "./preferences/beyond.ts";
import { createFooterPreferences } from "./preferences/footer.ts";
import { createNotify } from "./preferences/notify.ts";
import { createRotation } from "./preferences/rotation.ts";
import { createRedeem } from "./redeem/command.ts";
import { createCap } from "./restrictions/cap.ts";
import { createOnly } from "./restrictions/only.ts";
import { createJoin } from "./share/join-command.ts";
import { createLeave } from "./share/leave-command.ts";
import { createShare } from "./share/share-command.ts";
import { createAdd } from "./sign-in/add.ts";
import { createLogin } from "./sign-in/login.ts";
import type { SignInWays } from "./sign-in/ports.ts";
import { createOff, createOn } from "./toggle/command.ts";
import { createUsage } from "./usage/command.ts";
import { createVerify } from "./verify/command.ts";
import type { HealthCheck } from "./verify/disk.ts";

/** What the composition root offers. Each command takes only the ports that it names. */
interface CommandPorts {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly eventLog: EventLog;
	/** Calls `listener` after each write of the event log, until the returned function is called. */
	readonly followLog: (listener: () => void) => () => void;
	readonly ledger: Ledger;
	readonly membership: Membership;
	readonly credentials: Credentials;
	readonly usage: UsageMonitor;
	readonly resetCredits: ResetCreditList;
	readonly redeemer: Redeemer;
	readonly imports: Imports;
	readonly link: PiLoginSync;
	readonly signInWays: SignInWays;
	readonly settings: SettingsStore;
	readonly forecasts: ForecastSource;
	/** What may serve a request beyond included quota. */
	readonly offersFor: Beyond["offers"];
	/** What the person has agreed to for the rest of the day. */
	readonly forToday: ForToday;
	readonly health: HealthCheck;
	/** Notices outside the chat, loaded late, and the terminal that they may go to. */
	readonly loadNotices: () => Promise<Pick<OutsideNotices, "tryOut">>;
	readonly screen: Pick<Screen, "isOurs" | "env">;
	/** True in a checkout; false in the package, which contains a bundle. */
	readonly isFromSource: boolean;
	readonly clock: Clock;
	/** Selects a model for the session. Resolves to false if pi has no key for it. */
	readonly setModel: (model: Model<Api>) => Promise<boolean>;
	/** True if pi has a Codex login of its own, of any kind. */
	readonly hasPiLogin: () => boolean;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	/** The virtual model of pool and chain. */
	readonly poolModel: PoolModel;
	/** The pool that this machine shares with others. */
	readonly sharedPools: SharedPools;
	/** What is stored, with its path. */
	readonly paths: Readonly<Record<string, string>>;
	/** Path of the shared pool's file, which exists once a pool was joined. */
	readonly poolFile: string;
	/** Deletes the backups of removed and migrated accounts. Resolves to how many there were. */
	readonly removeBackups: () => Promise<number>;
}

/** Creates every subcommand of `/multicodex`, in the order of `help`. A new one is one line here. */
export function createCommands(given: CommandPorts): CommandList {
	const session = createSessionView({ ...given, codexId: given.poolModel.codexId });
	const afterSignIn = createAfterSignIn(given);
	const ports = { ...given, session, afterSignIn };
	const previewFooter = createFooterPreview(ports);
	const { settings, screen, loadNotices } = given;
	const notices = {
		describe: () => whatIsSent(settings.read().notify, screen),
		tryOut: async () => {
			const delivery = await (await loadNotices()).tryOut();
			return { text: tried(delivery, settings.read().notify, screen), isFailing: delivery.kind === "failed" };
		},
	};
	return {
		withoutAWord: createDashboardCommand(ports),
		named: [
			createShow(ports),
			createUse(ports),
			createNext(ports),
			createOnly(ports),
			createCap(ports),
			createAdd(ports),
			createLogin(ports),
			createImport(ports),
			createShare(ports),
			createJoin(ports),
			createLeave(ports),
			createRemove(ports),
			createRename(ports),
			createEnable(ports),
			createDisable(ports),
			createRefresh(ports),
			createFooterPreferences({ ...ports, previewFooter }),
			createRotation(ports),
			createNotify({ ...ports, notices }),
			createBeyond(ports),
			createChain(ports),
			createWhy(ports),
			createLog(ports),
			createUsage(ports),
			createRedeem(ports),
			createReset(ports),
			createVerify(ports),
			createOff(ports),
			createOn(ports),
			createPath(ports),
			help,
		],
	};
}
