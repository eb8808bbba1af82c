import { createServer, type Server } from "node:net";
import { onTestFinished } from "vitest";

/** Every browser sign-in listens on these, so only one test on a machine can have one under way. */
export const CALLBACK_PORTS = [1455, 1457] as const;

/**
 * The process that listens here has the callback ports: the system gives it back with its process, however that ends.
 */
const TURN_PORT = 14_551;
const RETRY_MS = 100;
/**
 * Long enough for a waiting file to look again: a file of tests that gives the ports back and takes them would starve
 * the others.
 */
const TURN_MS = 3 * RETRY_MS;
let givenBackAt = 0;

/**
 * Waits until no other test, of this process or another, uses the callback ports, and keeps them until the test ends.
 * Call it before anything that listens there is set up, so that all of it is gone when the next test gets them. Timers
 * must be real.
 */
export async function holdCallbackPorts(
	whenFinished: (giveBack: () => Promise<void>) => void = onTestFinished,
): Promise<void> {
	if (Date.now() - givenBackAt < TURN_MS) await pause(TURN_MS);
	let turn = await tryTurn();
	while (!turn) {
		await pause(RETRY_MS);
		turn = await tryTurn();
	}
	const held = turn;
	whenFinished(async () => {
		await new Promise((resolve) => held.close(resolve));
		givenBackAt = Date.now();
	});
}

function tryTurn(): Promise<Server | undefined> {
	return new Promise((resolve) => {
		const server = createServer((socket) => socket.destroy());
		server.once("error", () => resolve(undefined));
		server.listen(TURN_PORT, "127.0.0.1", () => resolve(server));
	});
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}
