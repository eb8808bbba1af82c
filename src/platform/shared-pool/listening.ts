import { randomBytes } from "node:crypto";
import type { Client } from "./client.ts";
import { CHANNEL } from "./schema.ts";
import { tellOf } from "./statements.ts";

/** A notification that is on its way for longer does not come: a pooler keeps the connection for others. */
const PROBE_MS = 2000;
const PROBE = "probe:";

/**
 * Listens on the connection of `listener`, which is used for nothing else, and tries with a notification from `client`
 * whether any gets through.
 */
export async function listen(
	client: Client,
	listener: Client,
	own: string,
	onNews: () => void,
): Promise<(() => Promise<void>) | undefined> {
	const probe = `${PROBE}${randomBytes(6).toString("hex")}`;
	let onProbe: () => void = () => undefined;
	const arrived = new Promise<boolean>((resolve) => {
		onProbe = () => resolve(true);
	});
	let isListening = false;
	const onNotification = (payload: string) => {
		if (payload === probe) onProbe();
		else if (payload !== own && !payload.startsWith(PROBE)) onNews();
	};
	const onListening = () => {
		// Again after the connection was lost: what was told in between was missed.
		if (isListening) onNews();
		isListening = true;
	};
	try {
		await listener.run((sql) => sql.listen(CHANNEL, onNotification, onListening));
		await client.run((sql) => sql`select ${tellOf(sql, probe)}`);
		if (await inTime(arrived)) return () => listener.end();
	} catch (error) {
		await listener.end();
		throw error;
	}
	await listener.end();
	return undefined;
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
