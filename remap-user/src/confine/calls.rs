//! The system calls that a trace may still make: seccomp. Any other fails with ENOSYS, which makes libc
//! use an older one where it has a choice.

use std::collections::BTreeMap;

use super::Network;
use aya_obj::generated::{
    PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF, bpf_cmd,
};
use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter_all_threads,
};

/// What the loop, its threads and libc need.
const TRACING: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_wait,
    libc::SYS_eventfd2,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getdents64,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_prlimit64,
    libc::SYS_read,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_statx,
    libc::SYS_tgkill,
    // For the command of `remap record`.
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_write,
    libc::SYS_writev,
];

/// What attaching needs beside that.
const ATTACHING: &[c_long] = &[
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_statfs,
    libc::SYS_uname,
];

/// What a connection needs, of a server or a client.
const CONNECTED: &[c_long] = &[
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// The commands of bpf(2) on what is loaded: maps, and what the kernel counts.
const ON_LOADED: &[bpf_cmd] = &[
    bpf_cmd::BPF_MAP_LOOKUP_ELEM,
    bpf_cmd::BPF_MAP_UPDATE_ELEM,
    bpf_cmd::BPF_MAP_DELETE_ELEM,
    bpf_cmd::BPF_MAP_GET_NEXT_KEY,
    bpf_cmd::BPF_OBJ_GET_INFO_BY_FD,
    bpf_cmd::BPF_LINK_DETACH,
    // The walk over threads, at the end.
    bpf_cmd::BPF_LINK_CREATE,
    bpf_cmd::BPF_ITER_CREATE,
];

/// The ioctls on kprobes, and those that ask about a terminal.
const IOCTLS: &[u64] = &[
    PERF_EVENT_IOC_ENABLE as u64,
    PERF_EVENT_IOC_DISABLE as u64,
    PERF_EVENT_IOC_SET_BPF as u64,
    libc::TCGETS,
    libc::TIOCGWINSZ,
];

/// Denies every thread of this process all other system calls; with `attaching` those that load and
/// attach programs are among the allowed ones, with `removing` that which removes a file, with `network`
/// those on sockets.
///
/// # Errors
/// If the kernel has no seccomp filters, or refuses this one.
pub fn restrict(attaching: bool, removing: bool, network: Network) -> Result<(), Error> {
    apply_filter_all_threads(&program(attaching, removing, network)?)
}

fn program(attaching: bool, removing: bool, network: Network) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> =
        TRACING.iter().map(|call| (*call, Vec::new())).collect();
    rules.insert(libc::SYS_ioctl, one_of(1, IOCTLS.iter().copied())?);
    // A thread, and no process. clone3(2), whose flags a filter cannot see, gets ENOSYS.
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    rules.insert(
        libc::SYS_clone,
        vec![rule(0, SeccompCmpOp::MaskedEq(thread), thread)?],
    );
    let commands = ON_LOADED.iter().map(|command| *command as u64);
    rules.insert(libc::SYS_bpf, one_of(0, commands)?);
    if network.serves || network.sends {
        rules.extend(CONNECTED.iter().map(|call| (*call, Vec::new())));
    }
    if network.serves {
        rules.insert(libc::SYS_accept4, Vec::new());
    }
    if network.sends {
        rules.insert(libc::SYS_connect, Vec::new());
        let families = [libc::AF_INET, libc::AF_INET6].map(|family| family.cast_unsigned().into());
        rules.insert(libc::SYS_socket, one_of(0, families.into_iter())?);
    }
    if attaching {
        rules.extend(ATTACHING.iter().map(|call| (*call, Vec::new())));
    }
    if removing {
        rules.insert(libc::SYS_unlink, Vec::new());
    }
    let refused = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    SeccompFilter::new(rules, refused, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

fn one_of(
    argument: u8,
    values: impl Iterator<Item = u64>,
) -> Result<Vec<SeccompRule>, BackendError> {
    let rule = |value| rule(argument, SeccompCmpOp::Eq, value);
    values.map(rule).collect()
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a filter answers to a system call with one argument: `None` if it allows it. The program is
    /// classic BPF of few instructions.
    fn errno(program: &BpfProgram, call: c_long, arguments: [u64; 2]) -> Option<u32> {
        let mut data = [0_u8; 64];
        data[0..4].copy_from_slice(&u32::try_from(call).unwrap().to_ne_bytes());
        // AUDIT_ARCH_X86_64
        data[4..8].copy_from_slice(&0xc000_003e_u32.to_ne_bytes());
        for (at, argument) in (16..).step_by(8).zip(arguments) {
            data[at..at + 8].copy_from_slice(&argument.to_ne_bytes());
        }
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let step = &program[at];
            let compare = |holds: bool| usize::from(if holds { step.jt } else { step.jf });
            at += 1 + match step.code {
                // BPF_LD | BPF_W | BPF_ABS
                0x20 => {
                    let from = step.k as usize;
                    let word = data[from..from + 4].try_into().unwrap();
                    accumulator = u32::from_ne_bytes(word);
                    0
                }
                // BPF_ALU | BPF_AND | BPF_K
                0x54 => {
                    accumulator &= step.k;
                    0
                }
                // BPF_JMP | BPF_JA
                0x05 => step.k as usize,
                // BPF_JMP | BPF_JEQ, JGT, JGE
                0x15 => compare(accumulator == step.k),
                0x25 => compare(accumulator > step.k),
                0x35 => compare(accumulator >= step.k),
                // BPF_RET | BPF_K
                0x06 => {
                    const ERRNO: u32 = 0x0005_0000;
                    return match step.k & 0xffff_0000 {
                        ERRNO => Some(step.k & 0xffff),
                        _ => None,
                    };
                }
                code => panic!("instruction {code:#x}"),
            };
        }
    }

    #[test]
    fn a_server_may_answer_and_make_no_socket() {
        let serves = Network {
            serves: true,
            sends: false,
        };
        let program = program(false, false, serves).unwrap();
        for call in CONNECTED.iter().chain(&[libc::SYS_accept4]) {
            assert_eq!(errno(&program, *call, [0, 0]), None);
        }
        for call in [libc::SYS_socket, libc::SYS_connect, libc::SYS_listen] {
            assert!(errno(&program, call, [0, 0]).is_some());
        }
    }

    #[test]
    fn a_client_may_connect_and_not_listen() {
        let sends = Network {
            serves: false,
            sends: true,
        };
        let program = program(false, false, sends).unwrap();
        let family = |family: i32| family.cast_unsigned().into();
        assert_eq!(errno(&program, libc::SYS_connect, [0, 0]), None);
        assert_eq!(
            errno(&program, libc::SYS_socket, [family(libc::AF_INET6), 0]),
            None
        );
        for other in [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET] {
            assert!(errno(&program, libc::SYS_socket, [family(other), 0]).is_some());
        }
        for call in [libc::SYS_listen, libc::SYS_bind, libc::SYS_accept4] {
            assert!(errno(&program, call, [0, 0]).is_some());
        }
    }

    #[test]
    fn only_what_a_trace_needs_is_allowed() {
        let refused = Some(libc::ENOSYS.cast_unsigned());
        let [sealed, attaching] = [false, true]
            .map(|attaching| program(attaching, attaching, Network::default()).unwrap());
        for program in [&sealed, &attaching] {
            let errno = |call, arguments| errno(program, call, arguments);
            for call in [libc::SYS_read, libc::SYS_openat, libc::SYS_futex] {
                assert_eq!(errno(call, [0, 0]), None);
            }
            for call in [
                libc::SYS_execve,
                libc::SYS_socket,
                libc::SYS_accept4,
                libc::SYS_ptrace,
                libc::SYS_clone3,
                libc::SYS_mount,
                libc::SYS_kill,
            ] {
                assert_eq!(errno(call, [0, 0]), refused);
            }
            let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
            assert_eq!(errno(libc::SYS_clone, [thread | 0x100, 0]), None);
            assert_eq!(errno(libc::SYS_clone, [0x11, 0]), refused);
            assert_eq!(errno(libc::SYS_ioctl, [0, libc::TCGETS]), None);
            assert_eq!(errno(libc::SYS_ioctl, [0, libc::TIOCSTI]), refused);
            let lookup = bpf_cmd::BPF_MAP_LOOKUP_ELEM as u64;
            assert_eq!(errno(libc::SYS_bpf, [lookup, 0]), None);
        }
        let load = bpf_cmd::BPF_PROG_LOAD as u64;
        assert_eq!(errno(&sealed, libc::SYS_bpf, [load, 0]), refused);
        assert_eq!(errno(&sealed, libc::SYS_perf_event_open, [0, 0]), refused);
        assert_eq!(errno(&attaching, libc::SYS_bpf, [load, 0]), None);
        assert_eq!(errno(&sealed, libc::SYS_unlink, [0, 0]), refused);
        assert_eq!(errno(&attaching, libc::SYS_unlink, [0, 0]), None);
        assert_eq!(errno(&attaching, libc::SYS_perf_event_open, [0, 0]), None);
    }
}
