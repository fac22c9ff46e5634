//! A small service as a `wasi:http` component: greets the name in its path. It runs in any host of
//! the world `wasi:http/proxy`, and knows nothing of the gateway.

// Nowhere else is there a `wasi:http` to answer.
#![cfg(target_family = "wasm")]

use std::io::Write as _;

use wasip2::http::types::{
    Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};

wasip2::http::proxy::export!(Hello);

struct Hello;

impl wasip2::exports::http::incoming_handler::Guest for Hello {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let name = path.trim_start_matches('/').split('?').next().unwrap_or_default();
        let greeting = std::env::var("GREETING").unwrap_or_else(|_| "hello".to_owned());
        println!("greeting {name}");
        match name {
            "" => respond(out, 404, "whom?\n"),
            name => respond(out, 200, &format!("{greeting}, {name}\n")),
        }
    }
}

fn respond(out: ResponseOutparam, status: u16, text: &str) {
    let fields = Fields::new();
    fields.append("content-type", b"text/plain").expect("a field that a response may have");
    let response = OutgoingResponse::new(fields);
    response.set_status_code(status).expect("a status");
    let body = response.body().expect("the body is asked for once");
    ResponseOutparam::set(out, Ok(response));
    // A client that has left takes no more: there is nobody to tell.
    let mut stream = body.write().expect("the stream is asked for once");
    let _client_left = stream.write_all(text.as_bytes());
    drop(stream);
    let _client_left = OutgoingBody::finish(body, None);
}
