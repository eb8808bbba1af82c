import { randomBytes } from "node:crypto";
import type { Client } from "./client.ts";
import { type ClientTimes, type DriverConnection, openConnection } from "./driver.ts";
import { toPoolProblem } from "./problems.ts";
import { CHANNEL } from "./schema.ts";
import { tellOf } from "./statements.ts";

/** A notification that takes longer does not arrive: a pooler uses the connection for others. */
const PROBE_MS = 2000;
const PROBE = "probe:";
/** Pauses between attempts to reconnect. */
const FIRST_PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 10_000;

/** A subscription to notifications, until it is ended. */
export interface Listening {
	end(): Promise<void>;
}

/**
 * Listens on a connection of its own, and checks with a notification from `client` that notifications get through.
 * Resolves to undefined if they do not.
 */
export async function listen(
	{ client, times }: { readonly client: Client; readonly times: ClientTimes },
	own: string,
	onNews: () => void,
): Promise<Listening | undefined> {
	const probe = `${PROBE}${randomBytes(6).toString("hex")}`;
	let onProbe = (): void => undefined;
	const arrived = new Promise<boolean>((resolve) => {
		onProbe = () => resolve(true);
	});
	const listening = createListening({ client, times }, (payload) => {
		if (payload === undefined) onNews();
		else if (payload === probe) onProbe();
		else if (payload !== own && !payload.startsWith(PROBE)) onNews();
	});
	try {
		// Only a server that takes changes can be listened to. The first notification finds it.
		if (client.url().hosts.length > 1) await notify(client, probe);
		await listening.begin();
		await notify(client, probe);
		if (await inTime(arrived)) return listening;
	} catch (error) {
		await listening.end();
		throw error;
	}
	await listening.end();
	return undefined;
}

/** Creates the subscription. Calls `onNotification` without a payload if notifications may have been missed. */
function createListening(
	{ client, times }: { readonly client: Client; readonly times: ClientTimes },
	onNotification: (payload: string | undefined) => void,
): Listening & { begin(): Promise<void> } {
	let connection: DriverConnection | undefined;
	let timer: NodeJS.Timeout | undefined;
	let isEnded = false;

	const begin = async (): Promise<void> => {
		const url = client.url();
		const mine = openConnection(url, times);
		connection = mine;
		const late = setTimeout(() => void mine.close(), times.statementMs);
		try {
			await (await mine.sql).listen(CHANNEL, onNotification);
		} catch (error) {
			await mine.close();
			throw toPoolProblem(mine.failure() ?? error, url.place);
		} finally {
			clearTimeout(late);
		}
		void mine.over.then(() => again(FIRST_PAUSE_MS));
	};
	const again = (pauseMs: number): void => {
		if (isEnded) return;
		timer = setTimeout(() => {
			begin().then(
				() => onNotification(undefined),
				() => again(Math.min(2 * pauseMs, LONGEST_PAUSE_MS)),
			);
		}, pauseMs);
		timer.unref();
	};
	return {
		begin,
		end: async () => {
			isEnded = true;
			clearTimeout(timer);
			await connection?.close();
		},
	};
}

async function notify(client: Client, payload: string): Promise<void> {
	await client.run((sql) => sql`select ${tellOf(sql, payload)}`);
}

async function inTime(arrived: Promise<boolean>): Promise<boolean> {
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<boolean>((resolve) => {
		timer = setTimeout(() => resolve(false), PROBE_MS);
	});
	const came = await Promise.race([arrived, late]);
	clearTimeout(timer);
	return came;
}
