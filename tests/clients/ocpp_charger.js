// A charger of npm ocpp-rpc in strict mode: a session whose connection breaks three times, then commands until it is stopped remotely.
const assert = require('node:assert');
const net = require('node:net');
const { once } = require('node:events');
const { RPCClient } = require('ocpp-rpc');

const [url, identity, idTag] = process.argv.slice(1);
const { hostname, port } = new URL(url);

// Between the charger and the gateway. While `lose` is set, the next answer is lost, and the connection with it.
let lose = null;
const proxy = net.createServer(near => {
    const far = net.connect(Number(port), hostname);
    near.pipe(far);
    far.on('data', bytes => {
        if (!lose) return near.write(bytes);
        lose();
        lose = null;
        near.destroy();
        far.destroy();
    });
    far.on('close', () => near.destroy()).on('error', () => {});
    near.on('close', () => far.destroy()).on('error', () => {});
});

const mistakes = [];
const commands = [];
let stopped;
const end = new Promise(resolve => { stopped = resolve; });

function charger() {
    const client = new RPCClient({
        endpoint: `ws://127.0.0.1:${proxy.address().port}/ocpp`,
        identity,
        protocols: ['ocpp1.6'],
        strictMode: true,
        callTimeoutMs: 30_000,
        backoff: { initialDelay: 50, maxDelay: 200, factor: 2, randomisationFactor: 0.25 },
    });
    // What the gateway sends is judged by the schemas of the standard; what the charger sends is, too.
    client.on('strictValidationFailure', ({ method, error }) => mistakes.push(`${method}: ${error.message}`));
    client.on('badMessage', ({ error }) => mistakes.push(`bad message: ${error.message}`));
    return client;
}

// Sends a call whose answer is lost with the connection.
async function lost(client, method, payload) {
    const answered = new Promise(resolve => { lose = resolve; });
    const back = once(client, 'open');
    await assert.rejects(client.call(method, payload), /Client disconnected/);
    await answered;
    await back;
}

async function session(client) {
    const accepted = answer => assert.equal(answer.idTagInfo.status, 'Accepted');
    const boot = () => client.call('BootNotification', { chargePointVendor: 'Acme', chargePointModel: 'One' });
    const booted = await boot();
    assert.deepEqual([booted.status, booted.interval], ['Accepted', 300]);
    assert.match((await client.call('Heartbeat', {})).currentTime, /Z$/);
    const status = status => client.call('StatusNotification', { connectorId: 1, errorCode: 'NoError', status });
    assert.deepEqual(await status('Preparing'), {});
    accepted(await client.call('Authorize', { idTag }));
    const start = { connectorId: 1, idTag, meterStart: 1000, timestamp: '2026-11-01T10:00:00Z' };
    await lost(client, 'StartTransaction', start);
    const started = await client.call('StartTransaction', start);
    accepted(started);
    await status('Charging');
    const { transactionId } = started;
    const metered = value => ({ timestamp: '2026-11-01T10:30:00Z', sampledValue: [{ value, unit: 'Wh' }] });
    assert.deepEqual(await client.call('MeterValues', { connectorId: 1, transactionId, meterValue: [metered('4500')] }), {});
    // It breaks in the middle of the transaction, without a call.
    const back = once(client, 'open');
    client._ws.terminate();
    await back;
    assert.deepEqual(await client.call('MeterValues', { connectorId: 1, transactionId, meterValue: [metered('5000')] }), {});
    const stop = { transactionId, idTag, meterStop: 8000, timestamp: '2026-11-01T11:00:00Z', reason: 'Local' };
    await lost(client, 'StopTransaction', stop);
    accepted(await client.call('StopTransaction', stop));
    await status('Available');
    const data = await client.call('DataTransfer', { vendorId: 'Acme', messageId: 'M', data: 'x' });
    assert.deepEqual(data, { status: 'UnknownVendorId' });
    assert.deepEqual(await client.call('DiagnosticsStatusNotification', { status: 'Idle' }), {});
    assert.deepEqual(await client.call('FirmwareStatusNotification', { status: 'Installed' }), {});
    // Commands come after a boot at once.
    assert.equal((await boot()).status, 'Accepted');
}

function takeCommands(client) {
    let transactionId;
    client.handle('TriggerMessage', ({ params }) => {
        commands.push(params.requestedMessage);
        return { status: 'Accepted' };
    });
    client.handle('RemoteStartTransaction', ({ params }) => {
        assert.deepEqual(params, { connectorId: 2, idTag });
        setImmediate(async () => {
            const start = { ...params, meterStart: 0, timestamp: '2026-11-01T12:00:00Z' };
            ({ transactionId } = await client.call('StartTransaction', start));
        });
        return { status: 'Accepted' };
    });
    client.handle('RemoteStopTransaction', ({ params }) => {
        assert.deepEqual(params, { transactionId });
        setImmediate(async () => {
            const stop = { transactionId, meterStop: 500, timestamp: '2026-11-01T12:10:00Z', reason: 'Remote' };
            await client.call('StopTransaction', stop);
            stopped();
        });
        return { status: 'Accepted' };
    });
}

async function main() {
    await once(proxy.listen(0, '127.0.0.1'), 'listening');
    const client = charger();
    takeCommands(client);
    await client.connect();
    assert.equal(client.protocol, 'ocpp1.6');
    await session(client);
    await end;
    assert.deepEqual(commands, ['Heartbeat']);
    assert.deepEqual(mistakes, []);
    const { code } = await client.close();
    assert.equal(code, 1000);
}

main().then(() => process.exit(0), error => {
    console.error(error, mistakes);
    process.exit(1);
});
