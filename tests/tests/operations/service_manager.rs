//! What a service manager is told: the protocol of sd_notify(3), at a socket as systemd has it.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use gateway_tests::PATIENCE;

use crate::admin_api::program::Program;

const TEXT: &str = "[gateway]\nworkers = 1\ncache_dir = \"../cache\"\n[admin]\naddress = \"127.0.0.1:0\"\n\
    [[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
    [[routes]]\nname = \"r\"\npaths = [\"/\"]\nrespond = { status = 204 }\n";

/// The next message.
fn next(manager: &UnixDatagram) -> String {
    let mut bytes = [0; 1024];
    let length = manager.recv(&mut bytes).expect("the manager is told within the time");
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_manager_is_told_of_start_reload_and_end() {
    let mut manager = None;
    let program = Program::start(TEXT, |folder, command| {
        let socket = folder.join("notify");
        let bound = UnixDatagram::bind(&socket).unwrap();
        bound.set_read_timeout(Some(PATIENCE)).unwrap();
        manager = Some(bound);
        command.env("NOTIFY_SOCKET", socket);
    })
    .await;
    let manager = manager.unwrap();
    assert_eq!(next(&manager), "READY=1\nSTATUS=1 routes in force\n");
    assert_eq!(program.get("/readyz").await.status(), 200);

    program.signal("-HUP");
    let reloading = next(&manager);
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect(&reloading);
    assert!(time.trim_end().parse::<u64>().is_ok(), "{reloading}");
    assert_eq!(next(&manager), "READY=1\nSTATUS=1 routes in force\n");

    program.write("nonsense");
    assert!(next(&manager).starts_with("RELOADING=1\n"));
    let refused = "READY=1\nSTATUS=the last reload changed nothing: the new one is refused\n";
    assert_eq!(next(&manager), refused);

    program.signal("-TERM");
    assert_eq!(next(&manager), "STOPPING=1\nSTATUS=open exchanges finish\n");
    manager.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert!(manager.recv(&mut [0]).is_err(), "nothing follows");
}
